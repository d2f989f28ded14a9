"""Listening sockets: resolving names, and binding sockets."""

import errno
import ipaddress
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pyfly.config_cli._errors import SettingsError

_SEND_BUFFER_BYTES: Final = 131_072
"""The memory of the system for each client that does not read."""
_SEND_SECONDS: Final = 30
"""The system disconnects a client that reads nothing for this time."""

_ADVICE: Final = "choose another address with --host or another port with --port"
METRICS_ADVICE: Final = "choose another address for metrics"

Address: TypeAlias = tuple[socket.AddressFamily, tuple[Any, ...]]
"""A family, and the address of a socket as it has it; its first part is an IP address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """The bound sockets of a server."""

    service: Sequence[socket.socket]
    """For all routes."""
    metrics: Sequence[socket.socket] = ()
    """For metrics alone."""


def resolve(host: str, port: int, *, advice: str = _ADVICE) -> list[Address]:
    """Return every address of a host name, or of an address in any form.

    Args:
        host: The name.
        port: The port.
        advice: What to do if there is no address; the end of the message.

    Raises:
        SettingsError: There is no address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise _cannot(host, port, error, advice) from error
    return list(dict.fromkeys((family, (str(at[0]), *at[1:])) for family, _, _, _, at in found))


def is_loopback(addresses: Iterable[Address]) -> bool:
    """True if no other machine can reach any of the addresses."""
    return all(
        ipaddress.ip_address(address[0].partition("%")[0]).is_loopback for _, address in addresses
    )


def bind(host: str, addresses: Sequence[Address], *, advice: str = _ADVICE) -> list[socket.socket]:
    """Return a bound socket for each address. Clients cannot connect yet.

    An address of a family that this machine lacks is left out if there is another address.

    Raises:
        SettingsError: An address is in use, or no address can be used.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in addresses:
        try:
            sockets.append(_bind(family, address, only=len(addresses) > 1))
        except OSError as error:
            if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                missing = error
                continue
            _close(sockets)
            raise _cannot(host, address[1], error, advice) from error
    if not sockets:
        raise _cannot(host, addresses[0][1][1], missing, advice) from missing
    return sockets


def listen(
    host: str, sockets: Sequence[socket.socket], *, backlog: int, advice: str = _ADVICE
) -> None:
    """Let clients connect.

    Raises:
        SettingsError: Another process began to listen there since `bind`.
    """
    for listener in sockets:
        try:
            listener.listen(backlog)
        except OSError as error:
            port = listener.getsockname()[1]
            _close(sockets)
            raise _cannot(host, port, error, advice) from error


def _bind(family: socket.AddressFamily, address: tuple[Any, ...], *, only: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # on Windows this would share the port with another process
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if family == socket.AF_INET6:  # `::` alone is every address of both families
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only))
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            timeout = _SEND_SECONDS * 1000
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout)
        listener.bind(address)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except OSError:
        listener.close()
        raise
    return listener


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _cannot(
    host: str, port: object, error: OSError | UnicodeError | None, advice: str
) -> SettingsError:
    reason = error.strerror if isinstance(error, OSError) else "not a host name"
    return SettingsError(f"cannot listen on {host}:{port}: {reason}; {advice}")
