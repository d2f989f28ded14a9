"""What to send for an application, its profiles and a label. Pure functions."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from pyfly.config_client._identity import Identity
from pyfly.config_core import MEDIA_TYPE_V2, encode_slashes

_DEFAULT_USER: Final = "user"
_SEGMENT_SAFE: Final = ",()_@+"
_HEADERS: Final = {
    "Accept": f"{MEDIA_TYPE_V2}, application/json;q=0.9",
    "Accept-Encoding": "identity",
    "User-Agent": "pyfly-config-client",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ConfigRequest:
    """One request, checked and ready to be sent."""

    url: str
    """Without credentials."""
    headers: dict[str, str]
    """May hold a credential."""
    application: str
    """As asked for; a comma list stays one string."""
    profiles: str
    """As asked for, comma separated."""
    label: str | None
    """As asked for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Credentials:
    """How a client says who it is."""

    username: str | None = None
    password: str | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        if self.token is not None and (self.username is not None or self.password is not None):
            raise ValueError("give either a token or a user name and a password, not both")
        for text in (self.username, self.password, self.token):
            if text is not None and not text.isprintable():
                raise ValueError("a credential holds a control character, such as a line end")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Server:
    """One address, split into what is sent and what must not be shown."""

    root: str
    """With the base path, without user info."""
    username: str | None
    password: str | None


def parse_server(url: str, base_path: str) -> Server:
    """Split an address.

    Raises:
        ValueError: The URL is not http or https, or the base path is malformed.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(
            "the server URL must look like http://host:8888, without query or fragment"
        )
    if base_path and (not base_path.startswith("/") or base_path.endswith("/")):
        raise ValueError("the base path must be empty, or begin with '/' and not end with it")
    host = parts.netloc.rpartition("@")[2]
    return Server(
        root=f"{parts.scheme}://{host}{parts.path.rstrip('/')}{base_path}",
        username=_decoded(parts.username),
        password=_decoded(parts.password),
    )


def build_requests(
    identity: Identity, servers: Sequence[Server], credentials: Credentials
) -> tuple[tuple[ConfigRequest, ...], ...]:
    """Return the requests for an environment document (contract §1.1, §9.5).

    Returns:
        For every label, in the order of asking, one request to every server.

    Raises:
        ValueError: A user name without a password is given, or both kinds of credentials.
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
    return ConfigRequest(
        url=f"{server.root}/{path}",
        headers=_HEADERS | _authorization(server, credentials),
        application=identity.application,
        profiles=identity.profiles,
        label=label,
    )


def _decoded(text: str | None) -> str | None:
    return None if text is None else unquote(text)


def _authorization(server: Server, credentials: Credentials) -> dict[str, str]:
    user = server.username if credentials.username is None else credentials.username
    password = server.password if credentials.password is None else credentials.password
    if credentials.token is not None:
        if user is not None or password is not None:
            raise ValueError("give either a token or a user name and a password, not both")
        return {"Authorization": f"Bearer {credentials.token}"}
    if password is None:
        if user is not None:
            raise ValueError("a user name without a password is given")
        return {}
    pair = base64.b64encode(f"{user or _DEFAULT_USER}:{password}".encode())
    return {"Authorization": f"Basic {pair.decode()}"}
