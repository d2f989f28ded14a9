"""JSON from outside, decoded within bounds of time and memory. Pure functions."""

import json
import math
import re
from typing import Final, NoReturn

from pyfly.config_core import ConfigFormatError
from pyfly.config_core.limits import MAX_ANSWER_BYTES, MAX_PROPERTIES

MAX_VALUES: Final = 5 * MAX_PROPERTIES
"""Values in one document. A property with its origin is three of them."""

_LONGEST_NUMBER: Final = 400
"""Characters; the largest number of 64 bits in floating point has 309 digits."""
# Ends at the end of the text, too: or every quote in a text without an end is looked at twice.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_SEPARATORS: Final = (b",", b"[", b"{")


def decode_json(body: bytes) -> object:
    """Return what a JSON text in UTF-8 holds.

    Raises:
        ConfigFormatError: It is not JSON; an object has a key twice; a number is not finite or
            has more than 400 digits; or it is larger than an answer can be. Shows no value.
    """
    if len(body) > MAX_ANSWER_BYTES:
        raise ConfigFormatError(f"larger than {MAX_ANSWER_BYTES:,} bytes")
    if _has_more_values(body, MAX_VALUES):
        raise ConfigFormatError(f"more than {MAX_VALUES:,} values")
    try:
        return json.loads(
            body.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except json.JSONDecodeError as error:  # not chained: it holds the whole text
        what = error.msg.removesuffix(" at")
        reason = f"not JSON: {what} at line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:  # the same
        reason = "not JSON: it is not in UTF-8"
    except RecursionError:
        reason = "not JSON that can be read: it is nested too deeply"
    raise ConfigFormatError(reason)


def _has_more_values(body: bytes, most: int) -> bool:
    """True if a text certainly has more values, keys and texts than are allowed.

    Every value follows a comma or an opening bracket outside of strings, and has two strings
    at most, itself and its key.
    """
    if _separators(body) <= most:
        return False
    if body.count(b'"') - body.count(b'\\"') > 4 * most:
        return True
    return _separators(_STRING.sub(b"", body)) > most


def _separators(text: bytes) -> int:
    return sum(text.count(separator) for separator in _SEPARATORS)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ConfigFormatError("not JSON that can be read: a key is given twice")
    return mapping


def _refuse_constant(name: str) -> NoReturn:
    raise ConfigFormatError(f"not JSON: {name}")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ConfigFormatError("not JSON that can be read: a number is too large")
    return number


def _int(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ConfigFormatError("not JSON that can be read: a number is too large")
    return int(text)
