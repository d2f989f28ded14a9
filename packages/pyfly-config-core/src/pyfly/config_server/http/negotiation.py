"""Content negotiation and conditional reads (RFC 9110 §12, §13)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Final

from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest

__all__ = [
    "MAX_ELEMENTS",
    "asks_for",
    "elements",
    "is_current",
    "is_known",
    "negotiate",
    "preferred",
    "select_media_type",
]

MAX_ELEMENTS: Final = 64
"""The number of elements of a list in a header that are read."""
_ELEMENT: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
"""An element of a comma list. A quoted text may hold commas; without its end it is the rest."""
_LONGEST_DATE: Final = 64
_QUALITY: Final = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?|\.\d{1,3})")
_ANYTHING: Final = 3
_TAG: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """One element of an `Accept` header."""

    pattern: str
    quality: float
    position: int

    @property
    def breadth(self) -> int:
        """The breadth: 0 for a full type, 1 for a suffix, 2 for a type, 3 for anything."""
        if self.pattern == "*/*":
            return _ANYTHING
        if self.pattern.endswith("/*"):
            return 2
        return 1 if "*" in self.pattern else 0

    def covers(self, media_type: str) -> bool:
        """True if the range includes `media_type`."""
        if self.pattern == "*/*":
            return True
        start, star, end = self.pattern.partition("*")
        if not star:
            return media_type == self.pattern
        return media_type.startswith(start) and media_type.endswith(end)


def negotiate(accept: bytes | None, offered: Sequence[str]) -> str | None:
    """Return the best media type in `offered`, or `None` if the client accepts none.

    The highest quality wins, then the more specific range, then the range listed first, then
    the order of `offered`. Without an `Accept` header everything is acceptable.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = _ranges(accept.decode("latin-1"))
    ranked: list[tuple[float, int, int, int, str]] = []
    for order, media_type in enumerate(offered):
        matching = [one for one in ranges if one.covers(media_type)]
        if matching:
            best = min(matching, key=lambda one: (one.breadth, one.position))
            if best.quality > 0:
                row = (-best.quality, best.breadth, best.position, order, media_type)
                ranked.append(row)
    return min(ranked)[-1] if ranked else None


def select_media_type(request: HttpRequest, *offered: str) -> str:
    """Return the best of the media types in `offered` for a request.

    Raises:
        HttpError: 406; the client does not accept any of them.
    """
    selected = negotiate(request.header(b"accept"), offered)
    if selected is None:
        raise HttpError(406, "not-acceptable", f"available: {', '.join(offered)}")
    return selected


def elements(value: str) -> list[str]:
    """Return the first `MAX_ELEMENTS` elements of a comma list (RFC 9110 §5.6).

    >>> elements('a="1,2";b, c')
    ['a="1,2";b', ' c']
    """
    if '"' not in value:
        return value.split(",", MAX_ELEMENTS)[:MAX_ELEMENTS]
    return [found[0] for found in islice(_ELEMENT.finditer(value), MAX_ELEMENTS)]


def _ranges(accept: str) -> list[_Range]:
    found: list[_Range] = []
    for position, element in enumerate(elements(accept)):
        pattern, *parameters = (part.strip().lower() for part in element.split(";"))
        if pattern:
            found.append(
                _Range(
                    pattern="*/*" if pattern == "*" else pattern,
                    quality=_quality(parameters),
                    position=position,
                )
            )
    return found


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            text = value.strip()
            return float(text) if _QUALITY.fullmatch(text) else 0.0
    return 1.0


def asks_for(accept: bytes | None, media_type: str) -> bool:
    """True if a client lists `media_type` or its main type, and does not prefer `*/*`."""
    ranges = _ranges((accept or b"").decode("latin-1"))
    covering = [one for one in ranges if one.quality > 0 and one.covers(media_type)]
    if not covering:
        return False
    best = min(covering, key=lambda one: (-one.quality, one.breadth))
    return best.breadth < _ANYTHING


def preferred(accept: bytes | None) -> str:
    """Return the media range that a client prefers, `*/*` without an `Accept` header."""
    ranges = [one for one in _ranges((accept or b"").decode("latin-1")) if one.quality > 0]
    if not ranges:
        return "*/*"
    return min(ranges, key=lambda one: (-one.quality, one.position)).pattern


def is_current(request: HttpRequest, entity_tag: bytes, modified: datetime | None) -> bool:
    """True if the client has the current representation (RFC 9110 §13.1.2, §13.1.3)."""
    if_none_match = request.header(b"if-none-match")
    if if_none_match is not None:
        return is_known(if_none_match, entity_tag)
    since = _date(request.header(b"if-modified-since"))
    return since is not None and modified is not None and modified <= since


def _date(value: bytes | None) -> datetime | None:
    """Return an HTTP date; `None` for an invalid one, which is ignored (RFC 9110 §13.1.3)."""
    if value is None or len(value) > _LONGEST_DATE:
        return None
    try:
        date = parsedate_to_datetime(value.decode("latin-1"))
    except (ValueError, TypeError, OverflowError, IndexError):  # raised for various invalid dates
        return None
    return None if date.tzinfo is None else date


def is_known(if_none_match: bytes | None, entity_tag: bytes) -> bool:
    """True if an `If-None-Match` header names `entity_tag` (RFC 9110 §13.1.2)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == b"*" or entity_tag in _TAG.findall(if_none_match)
