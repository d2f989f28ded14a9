"""The location of a store, as a URL, and as text without secrets."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from pyfly.config_cli._cli.suggestions import nearest
from pyfly.config_cli._errors import ArgumentError

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_VISIBLE: Final = re.compile(
    r"(?P<start>//|(?!//))"
    r"(?:(?P<user>[^:@/?#]*)(?::[^@/?#]*)?@)?"
    r"(?P<end>(?:[\w.,~%-]*|\[[0-9A-Fa-f:.]*\])(?::\d+)?(?:/[^@?#]*)?)"
    r"(?:\?[^@#]*)?"
)
_SECRET: Final = re.compile(r"[^=]*(?:pass|secret|token)", re.IGNORECASE)
"""An option of a URL whose name says that its value is secret."""
_MAX_SHOWN: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLocation:
    """The URL of a store."""

    url: str = field(repr=False)
    """May carry a password."""
    shown: str
    """The store as it may be shown: the directory that was named, or the URL without password."""


def find_store(text: str) -> StoreLocation:
    """Return the location of a store that is named by a directory or a URL.

    Raises:
        ArgumentError: There is no such directory, or this user may not look for it.
    """
    if _SCHEME.match(text):
        return StoreLocation(url=text, shown=shown_url(text))
    path = Path(text)
    try:
        exists, is_directory = path.exists(), path.is_dir()
    except OSError as error:
        raise ArgumentError(
            f"cannot look for the directory {text[:_MAX_SHOWN]!r}: {error.strerror}"
        ) from error
    if not exists:
        if "@" in text:  # probably a URL with a password in it
            raise ArgumentError("a store is a directory, or a URL that begins with its scheme")
        raise ArgumentError(f"there is no directory {text!r}{_suggestion(path)}")
    if not is_directory:
        raise ArgumentError(f"{text!r} is a file; name the directory that holds the labels")
    return StoreLocation(url=path.resolve().as_uri(), shown=text)


def shown_url(url: str) -> str:
    """Return the URL of a store without password and options.

    What cannot be told apart from a password is left out, too; over HTTP, this includes the user,
    because Git hosts take a token there.
    """
    scheme, _, rest = url.partition(":")
    if rest.isprintable() and (match := _VISIBLE.fullmatch(rest)):
        hides_user = match["user"] is None or scheme.lower().endswith(("http", "https"))
        user = "" if hides_user else match["user"] + "@"
        return f"{scheme}:{match['start']}{user}{match['end']}"
    return f"{scheme}:"


def identity_of(url: str) -> str:
    """Return a text that is equal for equal stores: the URL with its options, without passwords.

    >>> identity_of("postgresql://ada:secret@db/config?label=main&password=secret")
    'postgresql://ada@db/config?label=main'
    """
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    options = sorted(one for one in parts.query.split("&") if not _SECRET.match(one))
    netloc = f"{user.partition(':')[0]}{at}{host}"
    return urlunsplit((parts.scheme, netloc, parts.path, "&".join(options), ""))


def directory_of(url: str) -> Path | None:
    """Return the directory of a store of files; `None` for other stores."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _suggestion(path: Path) -> str:
    """Return a question about a directory with a similar name beside a missing one."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return ""
    found = nearest(path.name, names)
    return "" if found is None else f"; did you mean {str(path.with_name(found))!r}?"
