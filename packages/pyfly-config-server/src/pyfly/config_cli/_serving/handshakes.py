"""Accepting connections over TLS, with a limit for those whose handshake is not complete."""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

from pyfly.config_cli._serving.certificates import ServerCertificate
from pyfly.config_cli._serving.connections import Connections

_LOG: Final = logging.getLogger(__name__)

_BUFFER_BYTES: Final = 65_536
"""Unsent bytes from which on a client counts as slow, as without TLS; by default they are eight
times as many."""
_LOG_SECONDS: Final = 1.0
"""Failed handshakes are logged this often, because clients cause them."""
_PAUSE_SECONDS: Final = 0.2
"""The pause after the system could not accept a connection, such as without descriptors."""


class SecureAcceptor:
    """Accepts connections, and passes each on when its handshake is complete.

    The event loop can do the same, but has no limit for connections that never complete it. The
    time for a handshake is that for a head.

    Args:
        certificate: The TLS of new connections.
        connections: The open connections, with their limits.
        make_protocol: Makes what gets a connection.
    """

    def __init__(
        self,
        certificate: ServerCertificate,
        connections: Connections,
        make_protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        self._certificate = certificate
        self._connections = connections
        self._make_protocol = make_protocol
        self._failures = _FailedHandshakes()
        self._handshakes: set[asyncio.Task[None]] = set()

    async def accept(self, listener: socket.socket) -> None:
        """Accept connections until cancelled."""
        loop, limit = asyncio.get_running_loop(), self._connections.limits.connections
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if len(self._connections) + len(self._handshakes) >= limit:
                connection.close()
                continue
            task = loop.create_task(self._secure(connection, str(address[0])))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    def abort(self) -> None:
        """End all handshakes."""
        for task in self._handshakes:
            task.cancel()

    async def _secure(self, connection: socket.socket, client: str) -> None:
        limits = self._connections.limits
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                self._make_protocol,
                connection,
                ssl=self._certificate.context,
                ssl_handshake_timeout=limits.head_seconds,
                ssl_shutdown_timeout=limits.write_seconds,
            )
        except OSError as error:  # SSLError, too
            self._failures.note(client, error)
        else:
            transport.set_write_buffer_limits(high=_BUFFER_BYTES)


class _FailedHandshakes:
    """Logs handshakes that failed, one line in a second at most."""

    def __init__(self) -> None:
        self._logged_at = float("-inf")
        self._left_out = 0

    def note(self, client: str, error: OSError) -> None:
        """Log a failure, or count it until the next line."""
        now = time.monotonic()
        if now - self._logged_at < _LOG_SECONDS:
            self._left_out += 1
            return
        more = f"; {self._left_out} others failed before" if self._left_out else ""
        self._logged_at, self._left_out = now, 0
        _LOG.info("no TLS connection with %s: %s%s", client, _reason(error), more)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, ConnectionAbortedError):
        return "the handshake took too long"
    return error.strerror or "the client closed the connection"
