"""Durations and sizes as configuration writes them."""

import re
from datetime import timedelta
from typing import Any, Final

_DURATION: Final = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d)", re.IGNORECASE)
_ISO: Final = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<days>[+-]?\d+)D)?"
    r"(?:T(?:(?P<hours>[+-]?\d+)H)?(?:(?P<minutes>[+-]?\d+)M)?"
    r"(?:(?P<seconds>[+-]?\d+(?:\.\d+)?)S)?)?",
    re.IGNORECASE,
)
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE: Final = re.compile(r"([+-]?\d+)\s*(|B|K|KB|KIB|M|MB|MIB|G|GB|GIB|T|TB|TIB)", re.IGNORECASE)
_POWERS: Final = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_duration(text: str) -> timedelta:
    """Read `500ms`, `30s`, `1.5h`, or ISO 8601's `PT30S`.

    >>> parse_duration("90s") == parse_duration("PT1M30S") == timedelta(seconds=90)
    True

    Raises:
        ValueError: It is something else. A bare number too: Spring takes it for milliseconds,
            nearly everybody else for seconds.
    """
    if found := _DURATION.fullmatch(text.strip()):
        return timedelta(seconds=float(found[1]) * _SECONDS[found[2].lower()])
    iso = _ISO.fullmatch(text.strip())
    parts = {} if iso is None else {k: v for k, v in iso.groupdict().items() if v and k != "sign"}
    if iso is None or not parts:
        raise ValueError("not a duration with its unit, such as 500ms, 30s, 5m or PT30S")
    length = timedelta(**{name: float(number) for name, number in parts.items()})
    return -length if iso["sign"] == "-" else length


class DataSize(int):
    """A number of bytes, written as `512`, `10KB` or `4MB`; the units are powers of 1024.

    >>> DataSize.parse("4MB")
    4194304
    """

    @classmethod
    def parse(cls, text: str) -> "DataSize":
        """Read a size.

        Raises:
            ValueError: It is something else.
        """
        found = _SIZE.fullmatch(text.strip())
        if found is None:
            raise ValueError("not a size, such as 512, 10KB or 4MB")
        return cls(int(found[1]) * 1024 ** _POWERS[found[2][:1].upper()])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """Let pydantic read it too."""
        from pydantic_core import core_schema  # noqa: PLC0415 - called by pydantic only

        return core_schema.no_info_plain_validator_function(lambda value: cls.parse(str(value)))
