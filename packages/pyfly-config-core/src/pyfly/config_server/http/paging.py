"""Which part of a listing or of a history a query asks for."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from pyfly.config_core import ConfigKey, check_name, check_profile
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from pyfly.config_server.http.refusals import Refusal

_SEPARATOR: Final = "\n"  # in no name
_PAGING: Final = ("limit", "cursor")
_NAMES: Final = ("application", "profile", "label", *_PAGING)
_VERSION: Final = "version"
"""With what the cursor of a history begins, so that one of a listing is not taken for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Filters, and where the page begins."""

    application: str | None
    profile: str | None
    label: str | None
    limit: int
    after: ConfigKey | None
    """The last name of the page before."""

    def includes(self, key: ConfigKey) -> bool:
        """Tell whether the filters let a name through."""
        return self.application in {None, key.application} and self.profile in {None, key.profile}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Where a page of a history begins."""

    limit: int
    before: str | None
    """The last version of the page before."""


def parse_page(query: bytes) -> Page:
    """Read `application`, `profile`, `label`, `limit` and `cursor`.

    Raises:
        Refusal: A parameter is unknown, given twice or not acceptable.
        InvalidConfigKeyError: A name is not acceptable.
    """
    values = _parameters(query, known=_NAMES)
    return Page(
        application=_name(values, "application"),
        profile=_name(values, "profile"),
        label=_name(values, "label"),
        limit=_limit(values),
        after=_decode_cursor(values["cursor"]) if "cursor" in values else None,
    )


def parse_history_page(query: bytes) -> HistoryPage:
    """Read `limit` and `cursor`.

    Raises:
        Refusal: A parameter is unknown, given twice or not acceptable.
    """
    values = _parameters(query, known=_PAGING)
    before = _decode_version(values["cursor"]) if "cursor" in values else None
    return HistoryPage(limit=_limit(values), before=before)


def encode_cursor(key: ConfigKey) -> str:
    """Return an opaque text that `parse_page` turns back into `key`."""
    return _encode(*key.sort_key)


def encode_version_cursor(version: str) -> str:
    """Return an opaque text that `parse_history_page` turns back into `version`."""
    return _encode(_VERSION, version)


def _decode_cursor(text: str) -> ConfigKey:
    try:
        label, application, profile = _decode(text).split(_SEPARATOR)
        return ConfigKey(application=application, profile=profile, label=label)
    except ValueError as error:  # no base64, no UTF-8, not three parts, or not acceptable names
        raise _invalid_cursor() from error


def _decode_version(text: str) -> str:
    try:
        begin, separator, version = _decode(text).partition(_SEPARATOR)
    except ValueError as error:  # no base64, or no UTF-8
        raise _invalid_cursor() from error
    if begin != _VERSION or not separator:
        raise _invalid_cursor()
    return version


def _encode(*parts: str) -> str:
    return base64.urlsafe_b64encode(_SEPARATOR.join(parts).encode()).decode().rstrip("=")


def _decode(text: str) -> str:
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True).decode()


def _parameters(query: bytes, *, known: Sequence[str]) -> dict[str, str]:
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise _unusable("the query is not UTF-8") from error
    values = dict(pairs)
    if unknown := values.keys() - set(known):
        raise _unusable(f"unknown: {min(unknown)!r:.60}; known: {', '.join(known)}")
    if len(values) < len(pairs):
        raise _unusable("a parameter is given twice")
    return values


def _name(values: dict[str, str], name: str) -> str | None:
    text = values.get(name)
    if text is None:
        return None
    check_profile(text) if name == "profile" else check_name(name, text)
    return text


def _limit(values: Mapping[str, str]) -> int:
    text = values.get("limit", str(DEFAULT_PAGE_ROWS))
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_PAGE_ROWS))
    if not (digits and 1 <= int(text) <= MAX_PAGE_ROWS):
        raise _unusable(f"'limit' is a number from 1 to {MAX_PAGE_ROWS}")
    return int(text)


def _invalid_cursor() -> Refusal:
    return _unusable("invalid cursor; start again without one")


def _unusable(message: str) -> Refusal:
    return Refusal(400, "invalid-query", message)
