"""Text and trees: what the bytes of a file mean, and the bytes that a tree becomes.

Formats are told by the suffix of a file's name. A store of text files reads with
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
