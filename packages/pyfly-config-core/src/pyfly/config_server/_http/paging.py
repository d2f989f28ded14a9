"""Which part of a listing a query asks for."""

import base64
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from pyfly.config_core import ConfigKey, check_name, check_profile
from pyfly.config_server._http.refusals import Refusal

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

_SEPARATOR: Final = "\n"  # in no name
_NAMES: Final = ("application", "profile", "label", "limit", "cursor")


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


def parse_page(query: bytes) -> Page:
    """Read `application`, `profile`, `label`, `limit` and `cursor`.

    Raises:
        Refusal: A parameter is unknown, given twice or not acceptable.
        InvalidConfigKeyError: A name is not acceptable.
    """
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise _unusable("the query is not UTF-8") from error
    values = dict(pairs)
    if unknown := values.keys() - set(_NAMES):
        raise _unusable(f"unknown: {min(unknown)!r:.60}; known: {', '.join(_NAMES)}")
    if len(values) < len(pairs):
        raise _unusable("a parameter is given twice")
    return Page(
        application=_name(values, "application"),
        profile=_name(values, "profile"),
        label=_name(values, "label"),
        limit=_limit(values.get("limit", str(DEFAULT_LIMIT))),
        after=_decode_cursor(values["cursor"]) if "cursor" in values else None,
    )


def encode_cursor(key: ConfigKey) -> str:
    """Return an opaque text that `parse_page` turns back into `key`."""
    return base64.urlsafe_b64encode(_SEPARATOR.join(key.sort_key).encode()).decode().rstrip("=")


def _decode_cursor(text: str) -> ConfigKey:
    try:
        padded = text + "=" * (-len(text) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        label, application, profile = decoded.split(_SEPARATOR)
        return ConfigKey(application=application, profile=profile, label=label)
    except ValueError as error:  # no base64, no UTF-8, not three parts, or not acceptable names
        raise _unusable("invalid cursor; start again without one") from error


def _name(values: dict[str, str], name: str) -> str | None:
    text = values.get(name)
    if text is None:
        return None
    check_profile(text) if name == "profile" else check_name(name, text)
    return text


def _limit(text: str) -> int:
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_LIMIT))
    if not (digits and 1 <= int(text) <= MAX_LIMIT):
        raise _unusable(f"'limit' is a number from 1 to {MAX_LIMIT}")
    return int(text)


def _unusable(message: str) -> Refusal:
    return Refusal(400, "invalid-query", message)
