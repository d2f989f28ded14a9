"""Addresses of servers: checked once, and split into what is sent and what must not be shown.

No error shows a part of an address: a password may stand anywhere in one that is malformed.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

_LONGEST_HOST: Final = 253
_MALFORMED: Final = (
    "the server URL must look like http://host:8888, without query or fragment; in a user name "
    "or a password write : / ? # [ ] @ and % as %3A %2F %3F %23 %5B %5D %40 and %25"
)
_LABELS: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_FOUR_NUMBERS: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Server:
    """One address, split into what is sent and what must not be shown."""

    root: str
    """With the base path, without user info."""
    username: str | None
    password: str | None
    base_path_twice: str = ""
    """The base path, if the address ends with it too."""


def parse_server(url: str, base_path: str) -> Server:
    """Split an address.

    Raises:
        ValueError: No server can have this address, or the base path is malformed. Shows
            nothing of the address.
    """
    _check_base_path(base_path)
    if not _is_visible(url):
        raise ValueError("the server URL holds a blank or a control character")
    parts = _split(url)
    path = parts.path.rstrip("/")
    return Server(
        root=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{base_path}",
        username=_decoded(parts.username),
        password=_decoded(parts.password),
        base_path_twice=base_path if base_path and path.endswith(base_path) else "",
    )


def has_control_characters(text: str) -> bool:
    """True if a text has characters that no credential and no address can hold."""
    return _CONTROL.search(text) is not None


def _split(url: str) -> SplitResult:
    parts = _split_if_possible(url)
    if parts is None or "@" in parts.path or "?" in url or "#" in url:
        raise ValueError(_MALFORMED)
    if not _is_host(parts.hostname or "", in_brackets="[" in parts.netloc.rpartition("@")[2]):
        raise ValueError(f"no host can have the name in the server URL; {_MALFORMED}")
    return parts


def _split_if_possible(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # its text shows a part of the address, so nothing is raised here
        return None
    return parts if usable else None


def _is_host(host: str, *, in_brackets: bool) -> bool:
    try:
        if in_brackets:
            return bool(ipaddress.IPv6Address(host)) and "%" not in host
        if _FOUR_NUMBERS.fullmatch(host):
            return bool(ipaddress.IPv4Address(host))
    except ValueError:
        return False
    if host.isascii():
        return len(host.rstrip(".")) <= _LONGEST_HOST and bool(_LABELS.fullmatch(host))
    from pyfly.config_client import _transport  # noqa: PLC0415 - it knows international names

    return _transport.is_international_host(host)


def _check_base_path(base_path: str) -> None:
    if base_path and (not base_path.startswith("/") or base_path.endswith("/")):
        raise ValueError("the base path must be empty, or begin with '/' and not end with it")
    if not _is_visible(base_path) or any(one in base_path for one in "?#@"):
        raise ValueError("the base path holds a character that a path cannot have")


def _is_visible(text: str) -> bool:
    return not has_control_characters(text) and text.split() == [text] * bool(text)


def _decoded(text: str | None) -> str | None:
    if text is None:
        return None
    plain = unquote(text, errors="surrogateescape")
    if has_control_characters(plain):
        raise ValueError(
            "the user info of the server URL is not percent-encoded UTF-8 without control "
            "characters"
        )
    return plain
