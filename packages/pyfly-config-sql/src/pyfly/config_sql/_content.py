"""Properties as the text that a row keeps, and back."""

import json
from collections.abc import Mapping
from typing import Final, cast

from pyfly.config_core import ConfigFormatError, ConfigKey, JsonValue
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES

_MAX_LENGTH: Final = 3 * MAX_DOCUMENT_BYTES
"""Escaping makes three times of a text at most."""


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
        ConfigFormatError: Somebody else has written the row; names the bundle, shows no value.
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
    """Refuse an author or a message that not every database can keep.

    Raises:
        ConfigFormatError: It holds NUL or half a character.
    """
    if text is not None and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise ConfigFormatError(f"the {what} holds a character that cannot be stored")
