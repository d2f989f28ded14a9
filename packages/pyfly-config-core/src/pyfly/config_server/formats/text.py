"""Bundles as text: parsing the bytes of a file, and writing a tree as bytes.

The suffix of the file name selects the format. Values: docs/reference/protocol.md, Values.
"""

import re
from collections.abc import Mapping
from math import isinf, isnan
from typing import Final, cast

from pyfly.config_core import (
    ConfigFormatError,
    FlatBudget,
    JsonValue,
    copy_properties,
    flatten,
)
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES, MAX_FLAT_BYTES, MAX_PROPERTIES
from pyfly.config_server.formats import yaml, yaml_writer
from pyfly.config_server.formats.json import dump_json, parse_json
from pyfly.config_server.formats.properties import parse_properties
from pyfly.config_server.storage import ConfigDocument

__all__ = [
    "ROOT_KEY",
    "SUFFIXES",
    "dump_for_reading",
    "dump_text",
    "holds_several_documents",
    "is_nothing",
    "parse_documents",
    "parse_mapping",
    "parse_scalar",
    "parse_text",
    "same_tree",
]

SUFFIXES: Final = (".yaml", ".yml", ".json", ".properties")
"""In the order in which a reader looks for a file. New bundles are never `.properties` files."""

ROOT_KEY: Final = "document"
"""The key of a list or a single value at the top level."""
_LINE: Final = re.compile("[^\r\n\x85\u2028\u2029]+")
_BLANKS: Final = " \t"
_LONGEST_ORIGIN: Final = 16


def parse_text(data: bytes, *, suffix: str) -> dict[str, JsonValue]:
    """Return the tree of a file. An empty file is an empty tree.

    A list or a single value at the top level is put under the key `document`.

    Raises:
        ConfigFormatError: There are too many bytes, they are not UTF-8, or they do not parse.
            The error has a line and a column if they are known, and no content. The caller
            adds `where`.
    """
    value = _parse(data, suffix)
    return {} if is_nothing(value) else _mapping(value)


def parse_documents(data: bytes, *, suffix: str) -> tuple[ConfigDocument, ...]:
    """Return the documents of a file that are not empty, from first to last.

    A list or a single value at the top level is put under the key `document`. An empty list or
    text at the top level is an empty document, as for Spring. A JSON file is one document, and
    its values have no origins. The values of `.properties` files are texts. The rules:
    docs/reference/protocol.md, Documents of a file.

    Raises:
        ConfigFormatError: As `parse_text`, or all documents together have more than 20,000
            properties or more than 4 MiB of flat keys.
    """
    if suffix == ".properties":
        return parse_properties(data, limit=MAX_DOCUMENT_BYTES)
    if suffix == ".json":
        value = _parse(data, suffix)
        return () if is_nothing(value) else (ConfigDocument(properties=_mapping(value)),)
    # The size of the values is counted where they are flattened; origins are flattened here.
    budget = FlatBudget(limit=MAX_FLAT_BYTES + MAX_PROPERTIES * _LONGEST_ORIGIN)
    return tuple(
        ConfigDocument(
            properties=copy_properties(_mapping(value)),  # checked here only
            origins=_texts(_mapping(origins), budget),
        )
        for value, origins in yaml.load_with_origins(_decoded(data))
        if not is_nothing(value)
    )


def parse_mapping(data: bytes, *, suffix: str) -> dict[str, JsonValue]:
    """Return the mapping in a text that is to be stored.

    Stricter than `parse_text`: an empty text, a list and a single value are errors.

    Raises:
        ConfigFormatError: As `parse_text`, or the text is not a mapping.
    """
    value = _parse(data, suffix)
    if not isinstance(value, dict):
        raise ConfigFormatError("not a mapping of keys to values; write an empty mapping as {}")
    return value


def parse_scalar(text: str) -> bool | int | float | str | None:
    """Return the value of a text in YAML, or the text itself if it is not a single value.

    A number beyond the range of 64 bits in floating point, which YAML reads as an infinity, stays
    a text.

    >>> [parse_scalar(text) for text in ("8080", "on", "2001-12-14", "'on'", "a: b # c", "")]
    [8080, True, '2001-12-14', 'on', 'a: b # c', None]
    >>> [parse_scalar(text) for text in ("1.5e300", "1e400", "-.inf")]
    [1.5e+300, '1e400', -inf]
    """
    try:
        (value,) = yaml.load_documents(text) if text.strip() else (None,)
    except (ConfigFormatError, ValueError):  # ValueError: not exactly one document
        return text
    if isinstance(value, str):
        return value if text.startswith(("'", '"')) else text
    if isinstance(value, float) and isinf(value) and "inf" not in text.lower():
        return text
    return text if isinstance(value, dict | list) or "#" in text else value


def is_nothing(value: JsonValue) -> bool:
    """True if a value at the top level makes an empty document."""
    return value is None or value in ("", [])


def _mapping(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {ROOT_KEY: value}


def _texts(tree: Mapping[str, JsonValue], budget: FlatBudget) -> dict[str, str]:
    return {key: str(place) for key, place in flatten(tree, budget).items()}


def _parse(data: bytes, suffix: str) -> JsonValue:
    text = _decoded(data)
    return parse_json(text) if suffix == ".json" else _parse_yaml(text)


def _decoded(data: bytes) -> str:
    if len(data) > MAX_DOCUMENT_BYTES:
        raise ConfigFormatError(f"larger than {MAX_DOCUMENT_BYTES:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigFormatError(f"not UTF-8 at byte {error.start}") from error


def dump_text(properties: Mapping[str, JsonValue], *, suffix: str) -> bytes:
    """Return text in UTF-8 that `parse_text` reads as the same tree.

    Raises:
        ConfigFormatError: The format cannot hold the tree, or the text is too long.
    """
    text = dump_json(properties) if suffix == ".json" else yaml_writer.dump(properties)
    data = text.encode()
    if len(data) > MAX_DOCUMENT_BYTES:
        raise ConfigFormatError(f"{len(data):,} bytes of text, more than {MAX_DOCUMENT_BYTES:,}")
    try:
        if same_tree(parse_text(data, suffix=suffix), properties):
            return data
    except ConfigFormatError as error:  # without the line: the user does not see this text
        reason = f"a {suffix} file cannot hold these properties: {error.reason}"
        raise ConfigFormatError(reason) from error
    raise ConfigFormatError(f"a {suffix} file cannot hold these properties")


def dump_for_reading(value: JsonValue) -> str:
    """Return YAML as a Spring server writes it. Parsed again, values may have other types."""
    return yaml_writer.dump_like_spring(value)


def holds_several_documents(data: bytes, *, suffix: str) -> bool:
    """True if a file holds more than one document, malformed documents included.

    Documents begin after `---` and end at `...`. Documents without content do not count.
    """
    if suffix in {".json", ".properties"}:
        return False
    documents = 0
    counted = False
    for found in _LINE.finditer(data.decode("utf-8-sig", "replace")):
        line = found[0]
        marker = line[:3] if line[3:4] in {"", *_BLANKS} else ""
        if marker in {"---", "..."}:
            counted, line = False, line[3:]
        elif line.startswith("%"):
            continue
        content = line.lstrip(_BLANKS)
        if content and not counted and not content.startswith("#"):
            counted = True
            documents += 1
            if documents > 1:
                return True
    return False


def _parse_yaml(text: str) -> JsonValue:
    documents = yaml.load_documents(text)
    if len(documents) > 1:
        raise ConfigFormatError("several documents in one file are not supported")
    return documents[0] if documents else None


def same_tree(one: object, other: object) -> bool:
    """True if two trees, or parts of trees, are equal.

    Values are compared with their types: `1`, `1.0`, `True` and `"1"` differ. The order of keys
    does not matter. NaN equals NaN.
    """
    same_type = type(one) is type(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        mine, theirs = cast("Mapping[str, object]", one), cast("Mapping[str, object]", other)
        return mine.keys() == theirs.keys() and all(same_tree(mine[k], theirs[k]) for k in mine)
    if isinstance(one, list) and isinstance(other, list):
        first, second = cast("list[object]", one), cast("list[object]", other)
        return len(first) == len(second) and all(map(same_tree, first, second))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (isnan(one) and isnan(other))
    return same_type and one == other
