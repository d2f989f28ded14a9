"""What to send for an application, its profiles and a label. Pure functions."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from pyfly.config_core import DEFAULT_PROFILE, encode_slashes, split_names, split_profiles

_DEFAULT_USER: Final = "user"
_SEGMENT_SAFE: Final = ",()_@+"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRequest:
    """One request, checked and ready to be sent."""

    url: str
    """Without credentials."""
    headers: dict[str, str] = field(repr=False)
    """May hold a credential."""
    application: str
    """As asked for; a comma list stays one string."""
    profiles: str
    """As asked for, comma separated."""


def build_request(  # noqa: PLR0913 - the parts of a request, all by keyword
    *,
    server_url: str,
    application: str,
    profile: str | Sequence[str] = DEFAULT_PROFILE,
    label: str | None = None,
    base_path: str = "/config",
    username: str | None = None,
    password: str | None = None,
    token: str | None = None,
) -> ConfigRequest:
    """Return the request for an environment document (contract §1.1, §9.5).

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ValueError: The URL is not http or https, the base path is malformed, or both kinds of
            credentials are given.
    """
    parts = urlsplit(server_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(
            "the server URL must look like http://host:8888, without query or fragment"
        )
    if base_path and (not base_path.startswith("/") or base_path.endswith("/")):
        raise ValueError("the base path must be empty, or begin with '/' and not end with it")
    profiles = profile if isinstance(profile, str) else ",".join(profile)
    split_names("application", application)
    split_profiles(profiles)
    segments = [encode_slashes(application), profiles]
    if label is not None:
        split_names("label", label)
        segments.append(encode_slashes(label))
    path = "/".join(quote(segment, safe=_SEGMENT_SAFE) for segment in segments)
    host = parts.netloc.rpartition("@")[2]
    root = f"{parts.scheme}://{host}{parts.path.rstrip('/')}{base_path}"
    user = username if username is not None else _decoded(parts.username)
    secret = password if password is not None else _decoded(parts.password)
    return ConfigRequest(
        url=f"{root}/{path}",
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "pyfly-config-client",
        }
        | _authorization(user, secret, token),
        application=application,
        profiles=profiles,
    )


def _decoded(text: str | None) -> str | None:
    return None if text is None else unquote(text)


def _authorization(user: str | None, password: str | None, token: str | None) -> dict[str, str]:
    if token is not None:
        if user is not None or password is not None:
            raise ValueError("give either a token or a user name and a password, not both")
        return {"Authorization": f"Bearer {token}"}
    if password is None:
        if user is not None:
            raise ValueError("a user name without a password is given")
        return {}
    pair = base64.b64encode(f"{user or _DEFAULT_USER}:{password}".encode())
    return {"Authorization": f"Basic {pair.decode()}"}
