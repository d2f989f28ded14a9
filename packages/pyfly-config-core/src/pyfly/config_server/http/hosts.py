"""Protection of a server without a credential from web pages (DNS rebinding).

A page in a browser can send requests to this machine. If the domain of the page resolves to this
machine, the page can read the responses, too. Therefore the name in `Host` must be one that an
attacker cannot point to this machine, and requests from pages of other sites are refused.
"""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest

__all__ = ["HostPolicy"]

_Authority: TypeAlias = tuple[str, str | None]
"""A host in lower case, IPv6 without brackets, and a port."""

_LONGEST: Final = 300
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
_AUTHORITY: Final = re.compile(
    rf"(?:(?P<name>{_NAME.pattern})|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{{0,5}}))?"
)
_ORIGIN: Final = re.compile(r"(https?)://(.+)")
_PORTS: Final = {"http": "80", "https": "443"}
_LOCALHOST: Final = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPolicy:
    """The accepted requests of a server without a credential.

    A request needs exactly one `Host`, which must be an IP address, `localhost`, a name below
    `.localhost` or one of `allowed`, with any port. Requests that a browser sends for a page of
    another site are refused.

    Raises:
        ValueError: One of `allowed` is not a host name.
    """

    allowed: frozenset[str] = frozenset()
    """Further host names, without ports. Case and a dot at the end do not matter."""

    def __post_init__(self) -> None:
        for name in self.allowed:
            if not _NAME.fullmatch(name) or len(name) > _LONGEST:
                raise ValueError(
                    f"{name!r:.80} is not a host name: write it as 'config.example.com', without "
                    "scheme, port, path or '*'"
                )
        names = frozenset(name.lower().removesuffix(".") for name in self.allowed)
        object.__setattr__(self, "allowed", names)

    def check(self, request: HttpRequest) -> None:
        """Refuse a request that is not accepted.

        Raises:
            HttpError: 400 for a missing, repeated or invalid `Host`; 421 for a name that is not
                allowed; 403 for a request from a page of another site.
        """
        hosts: list[bytes] = []
        origins: list[bytes] = []
        for key, value in request.headers:
            name = key.lower()
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origins.append(value)
            elif name == b"sec-fetch-site" and b"cross-site" in value.lower():
                raise _from_elsewhere()
        host = _authority(hosts[0]) if len(hosts) == 1 else None
        if host is None or not request.raw_path.startswith((b"/", b"*")):
            raise HttpError(400, "invalid-host", "send exactly one valid Host header")
        if not self._allows(host[0]):
            raise HttpError(
                421,
                "misdirected",
                f"without a credential this server does not answer to {host[0]!r:.80}: use "
                "localhost or an IP address, or start it with --allowed-hosts",
            )
        if not all(self._is_own(origin, host) for origin in origins):
            raise _from_elsewhere()

    def status(self, request: HttpRequest) -> int | None:
        """Return the status of the refusal, `None` if the request is accepted."""
        try:
            self.check(request)
        except HttpError as error:
            return error.status
        return None

    def _allows(self, host: str) -> bool:
        if host == _LOCALHOST or host.endswith("." + _LOCALHOST) or host in self.allowed:
            return True
        return _is_address(host)

    def _is_own(self, origin: bytes, host: _Authority) -> bool:
        """True if the origin is this server or an allowed name."""
        found = _ORIGIN.fullmatch(origin.decode("latin-1")[:_LONGEST])
        own = _authority(found[2].encode("latin-1")) if found else None
        if found is None or own is None:
            return False
        standard = _PORTS[found[1]]
        same = own[0] == host[0] and (own[1] or standard) == (host[1] or standard)
        return same or own[0] in self.allowed


def _from_elsewhere() -> HttpError:
    return HttpError(
        403,
        "cross-site",
        "without a credential this server refuses web pages of other sites; configure a credential "
        "if such pages need it",
    )


@lru_cache(maxsize=256)
def _authority(value: bytes) -> _Authority | None:
    """Return host and port of `host`, `host:port` or `[ipv6]:port`; `None` for other texts."""
    found = _AUTHORITY.fullmatch(value.decode("latin-1")) if len(value) <= _LONGEST else None
    if found is None or (found["ipv6"] is not None and not _is_address(found["ipv6"], version=6)):
        return None
    host: str = found["ipv6"] or found["name"].removesuffix(".")
    return host.lower(), found["port"] or None


@lru_cache(maxsize=256)
def _is_address(host: str, *, version: int | None = None) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return version in {None, address.version}
