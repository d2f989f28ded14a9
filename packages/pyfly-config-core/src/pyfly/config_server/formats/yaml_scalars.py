"""The values of YAML 1.1 scalars, as SnakeYAML reads them without timestamps.

Pure functions. The patterns follow the YAML 1.1 types `bool`, `int`, `float`, `null` and `merge`.
The rules: docs/reference/protocol.md, Values.
"""

import re
from decimal import Decimal
from enum import Enum
from typing import Final, TypeAlias

from pyfly.config_core import ConfigFormatError

__all__ = [
    "TAG_PREFIX",
    "Merge",
    "Scalar",
    "bracketed",
    "float_text",
    "java_float",
    "resolve_plain",
    "resolve_tagged",
]

Scalar: TypeAlias = bool | int | float | str | None

_INT: Final = re.compile(
    r"[-+]?0b_*[01][01_]*"
    r"|[-+]?0_*[0-7][0-7_]*"
    r"|[-+]?(?:0|[1-9][0-9_]*)"
    r"|[-+]?0x_*[0-9a-fA-F][0-9a-fA-F_]*"
    r"|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+"
)
_FLOAT: Final = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*"
    r"|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)
_WORDS: Final[dict[str, bool | None]] = (
    {word: True for low in ("yes", "true", "on") for word in (low, low.title(), low.upper())}
    | {word: False for low in ("no", "false", "off") for word in (low, low.title(), low.upper())}
    | dict.fromkeys(("", "~", "null", "Null", "NULL"), None)
)
_NUMERIC_START: Final = frozenset("-+.0123456789")
_LONGEST_NUMBER: Final = 1024
_DECIMAL_BELOW: Final = 1e7
_DECIMAL_FROM: Final = 1e-3

TAG_PREFIX: Final = "tag:yaml.org,2002:"
_MERGE: Final = "<<"


class Merge(Enum):
    """The plain scalar `<<`: as a key it merges another mapping."""

    KEY = _MERGE


def resolve_plain(text: str) -> Scalar | Merge:
    """Return the value of an unquoted scalar without a tag.

    Raises:
        ConfigFormatError: The text has the form of a number, but no digits: `._`.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMERIC_START and len(text) <= _LONGEST_NUMBER:
        if _INT.fullmatch(text):
            return _int(text)
        if _FLOAT.fullmatch(text):
            return _float(text)
    return Merge.KEY if text == _MERGE else text


def resolve_tagged(text: str, tag: str) -> Scalar:
    """Return the value of a scalar with an explicit tag.

    Raises:
        ConfigFormatError: The tag is not a YAML 1.1 type that JSON has, too, or the text is not
            of that type.
    """
    kind = tag.removeprefix(TAG_PREFIX)
    if kind == "str":
        return text
    if kind == "null":
        return None
    if len(text) > _LONGEST_NUMBER:
        raise ConfigFormatError(f"a number has more than {_LONGEST_NUMBER:,} characters; quote it")
    if kind == "int" and _INT.fullmatch(text):
        return _int(text)
    if kind == "float" and (_FLOAT.fullmatch(text) or _INT.fullmatch(text)):
        return _float(text)
    if kind == "bool" and isinstance(value := _WORDS.get(text), bool):
        return value
    if kind in {"int", "float", "bool"}:
        raise ConfigFormatError(f"the value is not of the type !!{kind} that its tag names")
    raise ConfigFormatError("the tag is not supported; use tags of types that JSON has")


def bracketed(key: float) -> str:
    """Return a key that is not a string as it appears in flat keys: `[1]`, `[true]`, `[2.5]`."""
    if isinstance(key, bool):
        return "[true]" if key else "[false]"
    return f"[{key}]" if isinstance(key, int) else f"[{java_float(key)}]"


def float_text(value: float) -> str:
    """Return a float so that YAML 1.1 reads it as the same float: `1.0e+16`, `-.inf`."""
    text = repr(value).replace("inf", ".inf").replace("nan", ".nan")
    return text if "." in text else text.replace("e", ".0e")


def java_float(value: float) -> str:
    """Return a float as Java writes it: `1.0`, `1.0E10`, `NaN`."""
    if value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or _DECIMAL_FROM <= abs(value) < _DECIMAL_BELOW:
        return repr(value)
    shortest, two_digits = repr(value), f"{value:.1e}"
    # Java takes the nearest number with two digits: the smallest float is 4.9E-324.
    exact = Decimal(two_digits if float(two_digits) == value else shortest)
    sign, digits, _ = exact.normalize().as_tuple()
    exponent = exact.adjusted()
    fraction = "".join(map(str, digits[1:])) or "0"
    return f"{'-' if sign else ''}{digits[0]}.{fraction}E{exponent}"


def _int(text: str) -> int:
    bare = text.replace("_", "")
    sign = -1 if bare.startswith("-") else 1
    digits = bare.lstrip("+-")
    if ":" in digits:
        return sign * int(_base_60([int(part) for part in digits.split(":")]))
    if digits.startswith("0b"):
        return sign * int(digits, 2)
    if digits.startswith("0x"):
        return sign * int(digits, 16)
    if digits.startswith("0") and digits != "0":
        return sign * int(digits, 8)
    return sign * int(digits)


def _float(text: str) -> float:
    bare = text.replace("_", "").lower()
    sign = -1.0 if bare.startswith("-") else 1.0
    digits = bare.lstrip("+-")
    if digits in {".inf", ".nan"}:
        return sign * float(digits[1:])
    if ":" in digits:
        return sign * _base_60([float(part) for part in digits.split(":")])
    try:
        return sign * float(digits)
    except ValueError as error:
        raise ConfigFormatError("a number has no digits") from error


def _base_60(parts: list[int] | list[float]) -> float | int:
    total: float | int = 0
    for part in parts:
        total = total * 60 + part
    return total
