"""Addresses, credentials and requests. Pure functions.

No error shows a part of an address: a malformed address may have a password anywhere.
"""

import base64
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pyfly.config_client._exchange import Identity
from pyfly.config_core import MEDIA_TYPE_V2, encode_slashes, split_names, split_profiles


def check_identity(identity: Identity) -> None:
    """Reject names that no server accepts.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ValueError: There is no server, or the sequence of labels is empty.
    """
    if not identity.servers or not identity.labels:
        raise ValueError("server_url and label must not be empty")
    split_names("application", identity.application)
    split_profiles(identity.profiles)
    for label in identity.labels:
        if label is not None:
            split_names("label", label)


_MAX_HOST_LENGTH: Final = 253
_MALFORMED: Final = (
    "the server URL must look like http://host:8888, without query or fragment; in a user name "
    "or a password write : / ? # [ ] @ and % as %3A %2F %3F %23 %5B %5D %40 and %25"
)
_LABELS: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_FOUR_NUMBERS: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Server:
    """The address of a server, split into what is sent and what must not be shown."""

    root: str
    """With the base path, without user info."""
    username: str | None
    password: str | None
    base_path_twice: str = ""
    """The base path, if the given address ends with it, too."""


def parse_server(url: str, base_path: str) -> Server:
    """Return the parts of an address.

    Raises:
        ValueError: The address or the base path is malformed. The error shows no part of the
            address.
    """
    _check_base_path(base_path)
    if not _is_visible(url):
        raise ValueError("the server URL contains a blank or a control character")
    parts = _split(url)
    path = parts.path.rstrip("/")
    return Server(
        root=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{base_path}",
        username=_decoded(parts.username),
        password=_decoded(parts.password),
        base_path_twice=base_path if base_path and path.endswith(base_path) else "",
    )


def has_control_characters(text: str) -> bool:
    """True if a text has characters that are not allowed in credentials and addresses."""
    return _CONTROL.search(text) is not None


def _split(url: str) -> SplitResult:
    parts = _split_if_possible(url)
    if parts is None or "@" in parts.path or "?" in url or "#" in url:
        raise ValueError(_MALFORMED)
    if not _is_host(parts.hostname or "", in_brackets="[" in parts.netloc.rpartition("@")[2]):
        raise ValueError(f"the host name in the server URL is not valid; {_MALFORMED}")
    return parts


def _split_if_possible(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # its text shows a part of the address, so it is not chained
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
        return len(host.rstrip(".")) <= _MAX_HOST_LENGTH and bool(_LABELS.fullmatch(host))
    from pyfly.config_client import _httpx  # noqa: PLC0415 - httpx takes 150 ms to import

    return _httpx.is_international_host(host)


def _check_base_path(base_path: str) -> None:
    if base_path and (not base_path.startswith("/") or base_path.endswith("/")):
        raise ValueError("the base path must be empty, or begin with '/' and not end with '/'")
    if not _is_visible(base_path) or any(one in base_path for one in "?#@"):
        raise ValueError("the base path contains a character that is not allowed in a path")


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


_DEFAULT_USER: Final = "user"
_SEGMENT_SAFE: Final = ",()_@+"
_KEYS_SAFE: Final = ",.*"
_HEADERS: Final = {
    "Accept": f"{MEDIA_TYPE_V2}, application/json;q=0.9",
    "Accept-Encoding": "identity",
    "User-Agent": "pyfly-config-client",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ConfigRequest:
    """A request for an environment document."""

    url: str
    """Without credentials."""
    headers: dict[str, str]
    """May contain a credential."""
    label: str | None
    """As requested."""
    base_path_twice: str = ""
    """The base path, if the given address ends with it, too."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Credentials:
    """The credentials of a client, checked."""

    username: str | None = None
    password: str | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        if self.token is not None and (self.username is not None or self.password is not None):
            raise ValueError("give either a token, or a user name and a password, not both")
        for text in (self.username, self.password, self.token):
            if text is not None and has_control_characters(text):
                raise ValueError("a credential contains a control character, such as a line end")
        if self.token is not None and self.token.split() != [self.token]:
            raise ValueError("a token must not be empty and must not contain blanks")
        if self.username is not None and ":" in self.username:
            raise ValueError("a user name must not contain ':'")


def build_requests(
    identity: Identity, servers: Sequence[Server], credentials: Credentials
) -> tuple[tuple[ConfigRequest, ...], ...]:
    """Return the requests for an environment document.

    Returns:
        For every label, in order, one request to every server.

    Raises:
        ValueError: There is a user name without a password, or both kinds of credentials.
    """
    return tuple(
        tuple(_build(identity, label, server, credentials) for server in servers)
        for label in identity.labels
    )


def _build(
    identity: Identity, label: str | None, server: Server, credentials: Credentials
) -> ConfigRequest:
    segments = [encode_slashes(identity.application), identity.profiles]
    if label is not None:
        segments.append(encode_slashes(label))
    path = "/".join(quote(segment, safe=_SEGMENT_SAFE) for segment in segments)
    query = f"?keys={quote(identity.keys, safe=_KEYS_SAFE)}" if identity.keys else ""
    return ConfigRequest(
        url=f"{server.root}/{path}{query}",
        headers=_HEADERS | _authorization(server, credentials),
        label=label,
        base_path_twice=server.base_path_twice,
    )


def _authorization(server: Server, given: Credentials) -> dict[str, str]:
    user = server.username if given.username is None else given.username
    password = server.password if given.password is None else given.password
    credentials = Credentials(username=user, password=password, token=given.token)
    if credentials.token is not None:
        return {"Authorization": f"Bearer {credentials.token}"}
    if password is None:
        if user is not None:
            raise ValueError("a user name is given without a password")
        return {}
    pair = base64.b64encode(f"{user or _DEFAULT_USER}:{password}".encode())
    return {"Authorization": f"Basic {pair.decode()}"}
