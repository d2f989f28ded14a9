"""Reading and writing strict JSON, without duplicate keys, infinities and NaN."""

import json
from collections.abc import Mapping
from math import isinf
from typing import NoReturn

from pyfly.config_core import ConfigFormatError, JsonValue, copy_properties
from pyfly.config_core.limits import MAX_NODES

__all__ = ["dump_json", "parse_json"]


def parse_json(text: str) -> JsonValue:
    """Return the value of a JSON text; `None` for a blank text.

    Raises:
        ConfigFormatError: The text is not JSON, has a key twice in an object or a number beyond
            the range of 64 bits in floating point, or is too deep or too large. The error has a
            line and a column where they are known, and no content.
    """
    if not text.strip():
        return None
    try:
        value: JsonValue = json.loads(
            text,
            object_pairs_hook=_Objects().unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise ConfigFormatError(error.msg, line=error.lineno, column=error.colno) from error
    except RecursionError as error:
        raise ConfigFormatError("nested too deeply") from error
    except ConfigFormatError:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise ConfigFormatError("a number is too long") from error
    # Depth and Unicode are checked where every tree is copied.
    if isinstance(value, dict):
        return copy_properties(value)
    return copy_properties({"document": value})["document"]  # as errors name it


class _Objects:
    """Builds the objects of one JSON text and counts them."""

    def __init__(self) -> None:
        self._made = 0

    def unique(self, pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        """Return an object. Raise if a key is given twice, or if there are too many objects."""
        self._made += 1
        if self._made > MAX_NODES:
            raise ConfigFormatError(f"more than {MAX_NODES:,} objects")
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            raise ConfigFormatError("a key is given twice in one object")
        return mapping


def _refuse_constant(name: str) -> NoReturn:
    raise ConfigFormatError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):  # JSON has no infinity that it could mean
        raise ConfigFormatError("a number is beyond 1.8e308; write it as a text, in quotes")
    return number


def dump_json(properties: Mapping[str, JsonValue]) -> str:
    """Return indented JSON that `parse_json` reads as the same tree.

    Raises:
        ConfigFormatError: The tree holds an infinity or NaN.
    """
    try:
        return json.dumps(properties, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    except ValueError as error:
        raise ConfigFormatError("JSON cannot hold infinities and NaN") from error
