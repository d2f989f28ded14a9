"""The content of rows: properties as text, sources, rows of a history, version numbers."""

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final, cast

from sqlalchemy import Row

from pyfly.config_core import ConfigFormatError, ConfigKey, JsonValue, copy_properties
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.storage import ConfigDocument, ConfigSource, ConfigVersion

_MAX_LENGTH: Final = 3 * MAX_DOCUMENT_BYTES
"""Escaping makes a text at most three times as long."""
_MAX_DIGITS: Final = 18


def dump(properties: Mapping[str, JsonValue]) -> str:
    r"""Return JSON in ASCII, which every database can keep.

    Order, nesting, types and integers of any size are kept; infinities and NaN are written as
    Python does.

    >>> dump({"a": [1.0, None, "\0é"]})
    '{"a":[1.0,null,"\\u0000\\u00e9"]}'

    Raises:
        ConfigFormatError: An integer has thousands of digits.
    """
    try:
        return json.dumps(properties, separators=(",", ":"))
    except ValueError as error:
        raise ConfigFormatError("a number has too many digits") from error


def load(text: str, key: ConfigKey) -> dict[str, JsonValue]:
    """Return the properties in a row.

    Raises:
        ConfigFormatError: The text is not a JSON object. The error names the bundle and shows no
            value.
    """
    if len(text) > _MAX_LENGTH:
        raise ConfigFormatError(f"larger than {MAX_DOCUMENT_BYTES:,} bytes", where=str(key))
    try:
        tree: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigFormatError(
            error.msg, where=str(key), line=error.lineno, column=error.colno
        ) from None  # the error holds the complete text
    except (ValueError, RecursionError):  # thousands of digits or levels
        raise ConfigFormatError("nested too deeply, or a number too long", where=str(key)) from None
    if not isinstance(tree, dict):
        raise ConfigFormatError("not an object of properties", where=str(key))
    return cast("dict[str, JsonValue]", tree)  # parsed from JSON


def check_remark(what: str, text: str | None) -> None:
    """Refuse an author or a message that some databases cannot keep.

    Raises:
        ConfigFormatError: The text holds NUL or a single surrogate.
    """
    if text is not None and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise ConfigFormatError(f"the {what} holds a character that cannot be stored")


def source_of(key: ConfigKey, row: Row[Any]) -> ConfigSource | None:
    """Return the source in a row, `None` for a removal."""
    if row.properties is None:
        return None
    document = ConfigDocument(properties=copy_properties(load(row.properties, key)))
    return ConfigSource.from_documents(
        key, (document,), version=str(row.version), size=len(row.properties)
    )


def history_row(row: Row[Any]) -> ConfigVersion:
    """Return a row as a value of the history."""
    return ConfigVersion(
        version=str(row.version),
        saved_at=row.saved_at.replace(tzinfo=UTC),
        author=row.author,
        message=row.message,
        deleted=bool(row.removed),
    )


def version_number(version: str) -> int | None:
    """Return the number of a version, `None` if the text is not a version."""
    if not (version.isascii() and version.isdecimal() and len(version) <= _MAX_DIGITS):
        return None
    return int(version) if version == str(int(version)) else None
