"""What rows hold: properties as text and back, sources, rows of a history, version numbers."""

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final, cast

from sqlalchemy import Row

from pyfly.config_core import ConfigFormatError, ConfigKey, JsonValue, copy_properties
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.storage import ConfigDocument, ConfigSource, ConfigVersion

_MAX_LENGTH: Final = 3 * MAX_DOCUMENT_BYTES
"""Escaping makes a text three times as long at most."""
_MAX_DIGITS: Final = 18


def dump(properties: Mapping[str, JsonValue]) -> str:
    r"""Return JSON in ASCII, so that no character is one that a database cannot keep.

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
        raise ConfigFormatError("a number is too long") from error


def load(text: str, key: ConfigKey) -> dict[str, JsonValue]:
    """Return the properties that a row holds.

    Raises:
        ConfigFormatError: The text is no JSON object. Names the bundle, shows no value.
    """
    if len(text) > _MAX_LENGTH:
        raise ConfigFormatError(f"larger than {MAX_DOCUMENT_BYTES:,} bytes", where=str(key))
    try:
        tree: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigFormatError(
            error.msg, where=str(key), line=error.lineno, column=error.colno
        ) from None  # it holds the whole text
    except (ValueError, RecursionError):  # thousands of digits, or of levels
        raise ConfigFormatError("nested too deeply, or a number too long", where=str(key)) from None
    if not isinstance(tree, dict):
        raise ConfigFormatError("not an object of properties", where=str(key))
    return cast("dict[str, JsonValue]", tree)  # what JSON is


def check_remark(what: str, text: str | None) -> None:
    """Refuse an author or a message that some databases cannot keep.

    Raises:
        ConfigFormatError: It holds NUL or a lone surrogate.
    """
    if text is not None and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise ConfigFormatError(f"the {what} holds a character that cannot be stored")


def source_of(key: ConfigKey, row: Row[Any]) -> ConfigSource | None:
    """Return the source that a row holds, `None` if the change removed it."""
    if row.properties is None:
        return None
    document = ConfigDocument(properties=copy_properties(load(row.properties, key)))
    return ConfigSource.from_documents(
        key, (document,), version=str(row.version), size=len(row.properties)
    )


def history_row(row: Row[Any]) -> ConfigVersion:
    """Return one row of a history."""
    return ConfigVersion(
        version=str(row.version),
        saved_at=row.saved_at.replace(tzinfo=UTC),
        author=row.author,
        message=row.message,
        deleted=bool(row.removed),
    )


def version_number(version: str) -> int | None:
    """Return the number that a version is, `None` if the text cannot be a version."""
    if not (version.isascii() and version.isdecimal() and len(version) <= _MAX_DIGITS):
        return None
    return int(version) if version == str(int(version)) else None
