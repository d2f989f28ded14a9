"""The text formats of bundles: parsing bytes to trees, and writing trees as bytes.

The suffix of the file name selects the format. A store of text files reads with
`parse_documents` and writes with `dump_text`.
"""

from pyfly.config_server.formats.text import (
    SUFFIXES,
    dump_for_reading,
    dump_text,
    holds_several_documents,
    parse_documents,
    parse_mapping,
    parse_scalar,
    parse_text,
    same_tree,
)

__all__ = [
    "SUFFIXES",
    "dump_for_reading",
    "dump_text",
    "holds_several_documents",
    "parse_documents",
    "parse_mapping",
    "parse_scalar",
    "parse_text",
    "same_tree",
]
