"""Strict JSON of other processes: no key twice, no infinities and NaN, of a bounded size."""

import json
import math
import re
from typing import Final, NoReturn

from pyfly.config_core.errors import ConfigFormatError
from pyfly.config_core.limits import MAX_ANSWER_BYTES, MAX_PROPERTIES

__all__ = ["MAX_VALUES", "decode_json"]

MAX_VALUES: Final = 5 * MAX_PROPERTIES
"""The limit of values in one document. A property with its origin is three values."""

_MAX_NUMBER_LENGTH: Final = 400
"""Characters; the largest number of 64 bits in floating point has 309 digits."""
# Also ends at the end of the text; otherwise an unclosed string takes quadratic time. Compiled
# when it is used: most responses are too short to have too many values.
_STRING: Final = rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_SEPARATORS: Final = (b",", b"[", b"{")


def decode_json(body: bytes) -> object:
    """Return the content of a JSON text in UTF-8.

    Raises:
        ConfigFormatError: It is not JSON; an object has a key twice; a number is not finite or
            has more than 400 digits; it has more values than a document may have, or is larger
            than an answer may be. The error shows no value.
    """
    if len(body) > MAX_ANSWER_BYTES:
        raise ConfigFormatError(f"larger than {MAX_ANSWER_BYTES:,} bytes")
    if _has_more_values(body, MAX_VALUES):
        raise ConfigFormatError(f"more than {MAX_VALUES:,} values")
    try:
        return json.loads(
            body.decode(),
            object_pairs_hook=_unique,
            parse_constant=_reject_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except json.JSONDecodeError as error:  # not chained: it contains the whole text
        what = error.msg.removesuffix(" at")
        reason = f"not JSON: {what} at line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:  # the same
        reason = "not JSON: it is not in UTF-8"
    except RecursionError:
        reason = "unreadable JSON: it is nested too deeply"
    raise ConfigFormatError(reason)


def _has_more_values(body: bytes, most: int) -> bool:
    """True if a text certainly has more values than are allowed.

    Every value follows a comma or an opening bracket outside strings, and has at most two
    strings: itself and its key.
    """
    if _separators(body) <= most:
        return False
    if body.count(b'"') - body.count(b'\\"') > 4 * most:
        return True
    return _separators(re.sub(_STRING, b"", body)) > most


def _separators(text: bytes) -> int:
    return sum(text.count(separator) for separator in _SEPARATORS)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ConfigFormatError("unreadable JSON: an object has a key twice")
    return mapping


def _reject_constant(name: str) -> NoReturn:
    raise ConfigFormatError(f"not JSON: {name}")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ConfigFormatError("unreadable JSON: a number is too large")
    return number


def _int(text: str) -> int:
    if len(text) > _MAX_NUMBER_LENGTH:
        raise ConfigFormatError("unreadable JSON: a number is too large")
    return int(text)
