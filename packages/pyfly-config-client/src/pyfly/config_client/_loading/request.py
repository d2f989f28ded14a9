"""What to send for an application, its profiles and a label. Pure functions."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from pyfly.config_client._identity import Identity
from pyfly.config_client._loading.address import Server, has_control_characters
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
    base_path_twice: str = ""
    """The base path, if the address that was given ends with it too."""


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
            if text is not None and has_control_characters(text):
                raise ValueError("a credential holds a control character, such as a line end")
        if self.token is not None and self.token.split() != [self.token]:
            raise ValueError("a token is not empty and holds no blanks")
        if self.username is not None and ":" in self.username:
            raise ValueError("a user name cannot hold ':'")


def build_requests(
    identity: Identity, servers: Sequence[Server], credentials: Credentials
) -> tuple[tuple[ConfigRequest, ...], ...]:
    """Return the requests for an environment document.

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
            raise ValueError("a user name without a password is given")
        return {}
    pair = base64.b64encode(f"{user or _DEFAULT_USER}:{password}".encode())
    return {"Authorization": f"Basic {pair.decode()}"}
