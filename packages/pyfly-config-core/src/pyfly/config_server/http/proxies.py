"""What proxies in front of a server say about their clients, and whether it is believed."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias

from pyfly.config_server.access.identities import check_identity
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest

__all__ = ["ProxyPolicy", "ResolvedRequest"]

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORWARDED_FOR: Final = "X-Forwarded-For"
_MAX_PROXIES: Final = 32
"""Proxies behind each other whose addresses are looked at."""
_MAPPED_BITS: Final = 96
"""Those before the IPv4 address in one that is mapped to IPv6."""
_HEADER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_OTHER_MEANING: Final = re.compile(
    r"accept.*|authorization|cache-control|connection|content-.*|cookie|date|expect|forwarded|host"
    r"|if-.*|keep-alive|origin|prefer|proxy-.*|range|referer|sec-.*|te|trace.*|trailer"
    r"|transfer-encoding|upgrade|user-agent|via|x-config-.*|x-forwarded-(for|host|port|prefix|proto)"
    r"|x-git.*|x-gogs-.*|x-hub-.*|x-request-id"
)
"""Headers that clients, proxies or providers of repositories send for another purpose."""
_NODE: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<ipv4>[0-9.]+))(?::[0-9]{1,5})?|(?P<bare>[0-9A-Fa-f:.]+)"
)
"""An address in `X-Forwarded-For`; some proxies add the port."""


class ResolvedRequest(NamedTuple):
    """A request, with what a trusted proxy says about its client."""

    request: HttpRequest
    refusal: HttpError | None = None
    """Why the request must be refused, with 400; `None` if it is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPolicy:
    """The proxies whose headers about their clients are believed.

    * `X-Forwarded-For`: the last address in it that is not a trusted proxy is the client.
    * The identity header: how the proxy names a client that it has identified, such as the subject
      of a certificate. An authenticator finds it as `HttpRequest.identity`. The proxy must set or
      remove this header in every request.

    A request with one of these headers from any other address is refused. The ASGI server must
    pass on the address of the connection itself: uvicorn does with `proxy_headers=False`.

    Raises:
        ValueError: One of `trusted` is not an address or a network, or there is none, or
            `identity_header` is not a name of its own for a header.
    """

    trusted: Sequence[str]
    """Addresses and networks, such as `10.0.0.5` and `10.1.0.0/16`."""
    identity_header: str | None = None
    """The name of the identity header; `None` if there is none."""
    names: frozenset[bytes] = field(init=False, repr=False, compare=False)
    """The names of the headers, in lower case."""
    _networks: tuple[_Network, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name = self.identity_header
        if not self.trusted:
            raise ValueError("name the address of a proxy at least")
        if name is not None:
            _check_header_name(name)
        names = {one.lower().encode() for one in (_FORWARDED_FOR, name) if one is not None}
        object.__setattr__(self, "names", frozenset(names))
        object.__setattr__(self, "_networks", tuple(map(_network, self.trusted)))

    def resolve(self, request: HttpRequest) -> ResolvedRequest:
        """Return the request with the address and the identity that its proxy names.

        It is refused if it has such a header and does not come from a trusted proxy, or if the
        header is repeated, malformed, or stands beside another credential. A refused request has no
        identity. The notes of the request get the address.
        """
        given: dict[bytes, list[bytes]] = {name: [] for name in self.names}
        for key, value in request.headers:
            if (name := key.lower()) in given:
                given[name].append(value)
        if not any(given.values()):
            return ResolvedRequest(request)
        peer = _address(request.client or "")
        if peer is None or not self._trusts(peer):
            names = (name for name, values in given.items() if values)
            return ResolvedRequest(request, self._untrusted(names))
        try:
            forwarded = given.pop(_FORWARDED_FOR.lower().encode())
            if forwarded:
                request = replace(request, client=self._client(forwarded))
                if request.notes is not None:
                    request.notes.client = request.client
            return ResolvedRequest(replace(request, identity=self._identity(given, request)))
        except HttpError as error:
            return ResolvedRequest(request, error)

    def status(self, request: HttpRequest) -> int | None:
        """Return the status of the refusal, `None` if the request is accepted."""
        refusal = self.resolve(request).refusal
        return None if refusal is None else refusal.status

    def claims_identity(self, request: HttpRequest) -> bool:
        """True if a request has the identity header, right or wrong."""
        name = (self.identity_header or "").lower().encode()
        return any(key.lower() == name for key, _ in request.headers)

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)

    def _client(self, values: Iterable[bytes]) -> str:
        """Return the last address of `X-Forwarded-For` that is not a trusted proxy, or the first.

        Each proxy appends the address from which it got the request. What stands before the address
        that a trusted proxy has appended was sent by the client, and is not looked at.
        """
        client = ""
        for node in reversed(b",".join(values).rsplit(b",", _MAX_PROXIES)):
            address = _node(node)
            if address is None:
                raise HttpError(
                    400,
                    "invalid-forwarded-for",
                    f"{_FORWARDED_FOR} must be addresses, separated by commas, "
                    f"of at most {_MAX_PROXIES} proxies",
                )
            client = str(address)
            if not self._trusts(address):
                break
        return client

    def _identity(self, given: dict[bytes, list[bytes]], request: HttpRequest) -> str | None:
        """Return the identity; `None` for an empty header, as for none."""
        values = [value for values in given.values() for value in values]
        header = self.identity_header
        if len(values) > 1:
            raise HttpError(400, "invalid-identity", f"send {header} once")
        identity = values[0].decode("latin-1").strip(" \t") if values else ""
        if not identity:
            return None
        try:
            check_identity(identity)
        except ValueError as error:
            raise HttpError(400, "invalid-identity", f"{header} {error}") from None
        if request.header(b"authorization") is not None:
            raise HttpError(
                400,
                "ambiguous-credential",
                f"send either {header} or Authorization: they may name different principals",
            )
        return identity

    def _untrusted(self, names: Iterable[bytes]) -> HttpError:
        own = (self.identity_header or "").lower().encode()
        header = self.identity_header if own in {*names} else _FORWARDED_FOR
        return HttpError(
            400,
            "untrusted-proxy",
            f"{header} is accepted from trusted proxies only: send the request without it, or "
            "through a proxy that is one of the server's 'trusted-proxies'",
        )


def _check_header_name(name: str) -> None:
    if _HEADER_NAME.fullmatch(name) is None:
        raise ValueError("give a name of at most 64 letters, digits and '-': X-Client-Subject")
    if _OTHER_MEANING.fullmatch(name.lower()):
        raise ValueError(f"{name} has another meaning; take a name such as X-Client-Subject")


def _network(text: str) -> _Network:
    """Return a network; that of IPv4 for one of addresses that are mapped to IPv6."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        network = None
    if network is None or "%" in text:  # addresses are compared without their zone
        raise ValueError(
            f"{text!r:.80} is not an address or a network: write 10.0.0.5, 10.1.0.0/16 or "
            "fd00::/8, without bits behind the prefix and without a zone"
        )
    first = network.network_address
    mapped = first.ipv4_mapped if isinstance(first, ipaddress.IPv6Address) else None
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        network = ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    if not network.prefixlen:
        raise ValueError(f"{text!r} is every address, so that everybody would be trusted")
    return network


def _address(text: str) -> _Address | None:
    """Return an address; that of IPv4 for one that is mapped to IPv6, as sockets for both have."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _node(text: bytes) -> _Address | None:
    found = _NODE.fullmatch(text.decode("latin-1").strip(" \t"))
    return None if found is None else _address(found["ipv6"] or found["ipv4"] or found["bare"])
