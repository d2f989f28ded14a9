"""The settings of a store, from its URL."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pyfly.config_core import BackendLookupError

_FORM: Final = "template:///absolute/file?pool=4&timeout=10"
_LIMITS: Final = {"pool": (1, 64), "timeout": (1, 300)}

_MAX_DIGITS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """The file of the store, and its limits.

    Raises:
        BackendLookupError: A number is outside its limits.
    """

    path: Path
    """The file of the database. A missing file is made; its directory must exist."""
    pool: int = 4
    """The largest number of connections, from 1 to 64."""
    timeout: int = 10
    """The time limit of a call in seconds, from 1 to 300."""

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise BackendLookupError(f"{name!r} must be a number from {least} to {most}")

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the settings in a URL.

        Raises:
            BackendLookupError: The URL is malformed. The message does not show it, because a URL
                may hold a password.
        """
        parts = urlsplit(url)
        path = unquote(parts.path)
        is_file = path.startswith("/") and not path.endswith("/") and "\0" not in path
        if parts.netloc or parts.fragment or not is_file:
            raise BackendLookupError(f"a template: URL is written {_FORM}")
        return cls(path=Path(path), **_parameters(parts.query))


def _parameters(query: str) -> dict[str, int]:
    pairs = parse_qsl(query, keep_blank_values=True)
    known = [field.name for field in fields(StoreSettings) if field.name in _LIMITS]
    found: dict[str, int] = {}
    for name, value in pairs:
        if name not in known:
            raise BackendLookupError(f"unknown parameter {name!r}; known are {', '.join(known)}")
        if name in found:
            raise BackendLookupError(f"{name!r} stands twice in the URL")
        if not (value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS):
            raise BackendLookupError(f"{name!r} must be a whole number")
        found[name] = int(value)
    return found
