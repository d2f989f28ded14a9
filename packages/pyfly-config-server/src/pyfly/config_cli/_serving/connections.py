"""Limits around the HTTP protocol of the ASGI server: bytes, times, number of connections.

The ASGI server limits idle connections only. A `BoundedConnection` is between the transport and
the protocol. It parses the data itself, and passes it on if it is within the limits.
"""

import asyncio
import contextlib
import math
import re
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, cast

import httptools

from pyfly.config_cli._serving.direct import DirectAnswers
from pyfly.config_cli._serving.limits import ConnectionLimits
from pyfly.config_cli._serving.postponed_reads import PostponedReads
from pyfly.config_cli._serving.refusals import refusal
from pyfly.config_cli._serving.transport import ClosableTransport

_SLICE: Final = 2_048
"""The size of the pieces in which requests and the bytes of heads are counted."""
_PIPELINED: Final = 32
"""More requests than these wait as bytes, which are small, until the first ones are answered."""
_END: Final = b"\r\n\r\n"
_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_AUTHORITY_END: Final = re.compile(rb"[/?#]")
_RESET: Final = struct.pack("ii", 1, 0)
"""Makes the system drop unsent data, too."""
_LINGER_SECONDS: Final = 2.0
"""The time for a refused client to read the reason."""
_MAX_LINGERING: Final = 200
_SWEEP_SECONDS: Final = 1.0


class Connections:
    """The open connections of one process.

    Args:
        limits: Of each connection.
        direct: Returns what answers requests from their bytes, `None` if nothing does.
    """

    def __init__(
        self, limits: ConnectionLimits, direct: Callable[[], DirectAnswers | None]
    ) -> None:
        self.limits = limits
        self.direct = direct
        self.postponed = PostponedReads()
        self._open: set[BoundedConnection] = set()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: "BoundedConnection") -> None:
        """Count a connection."""
        self._open.add(connection)

    def discard(self, connection: "BoundedConnection") -> None:
        """Remove a closed connection."""
        self._open.discard(connection)

    async def watch(self) -> None:
        """Check the deadlines once a second, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            for connection in tuple(self._open):
                connection.check(now)

    def abort(self) -> None:
        """Close every connection at once, without sending the remaining data."""
        for connection in tuple(self._open):
            connection.abort()


class BoundedConnection(asyncio.Protocol):
    """One connection.

    Args:
        connections: The open connections, with their limits.
        make_protocol: Makes the protocol that answers the requests of a connection, and that calls
            its `note_answer` after each of them. Not called for a connection beyond the limit.
    """

    def __init__(
        self,
        connections: Connections,
        make_protocol: Callable[["BoundedConnection"], asyncio.Protocol],
    ) -> None:
        self._connections = connections
        self._limits = connections.limits
        self._make_protocol = make_protocol
        self._protocol: asyncio.Protocol | None = None  # absent in a refused connection
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the protocol's
        self._in_head = True
        self._head = bytearray()
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._is_plain = False
        self._requests = 0
        self._answered = 0
        self._received = 0
        self._waiting = bytearray()  # received behind too many requests
        self._has_ended = False
        self._tell_end: Callable[[], None] | None = None
        self._was_held = False
        self._idle_at: tuple[int, float] = (-1, math.inf)
        self._read_by = math.inf
        self._write_by = math.inf

    # --- asyncio.Protocol -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass a connection on, or answer 503 if there are too many."""
        transport = self._transport = cast("asyncio.Transport", transport)  # uvloop has its own
        excess = len(self._connections) - self._limits.connections
        self._connections.add(self)
        if excess >= _MAX_LINGERING:
            transport.abort()
        elif excess >= 0:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            self._read_by = self._loop.time() + self._limits.head_seconds
            self._protocol = self._make_protocol(self)
            self._seen = ClosableTransport(transport)
            self._protocol.connection_made(self._seen)

    def data_received(self, data: bytes) -> None:
        """Answer a request that is known, or pass data on if it is within the limits."""
        if self._waiting or self._is_crowded() or len(data) > _SLICE:
            self._waiting += data
            self._take_waiting()
            return
        direct = self._connections.direct() if self._is_idle() else None
        response = None if direct is None else direct.find(data)
        if response is None:
            self._take(data, direct)
        else:
            self._requests += 1
            self._respond(response)

    def eof_received(self) -> bool | None:
        """Notify the protocol. The transport closes itself."""
        return self._protocol.eof_received() if self._protocol else None

    def pause_writing(self) -> None:
        """Start the deadline for sending, because the client does not read."""
        self._write_by = self._loop.time() + self._limits.write_seconds
        if self._protocol:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """End the deadline for sending."""
        self._write_by = math.inf
        if self._protocol:
            self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self._connections.discard(self)
        self._has_ended = True
        self._waiting.clear()
        del self._parser  # each refers to the other
        protocol, self._protocol = self._protocol, None
        if protocol:
            protocol.connection_lost(exc)
        tell, self._tell_end = self._tell_end, None
        if tell is not None:
            tell()

    # --- for the requests -------------------------------------------------------------

    def note_answer(self) -> None:
        """Note that the protocol has answered a request."""
        self._answered += 1
        if self._was_held:
            self._was_held = False
            self._connections.postponed.add(self._seen)
        if self._waiting and not self._is_crowded():
            self._loop.call_soon(self._take_waiting)

    def at_end(self, tell: Callable[[], None] | None) -> None:
        """Call a function when the connection ends, now if it has ended; `None` calls nobody."""
        if tell is not None and self._has_ended:
            tell()
        else:
            self._was_held = self._tell_end is not None
            self._tell_end = tell

    # --- callbacks of the parser ------------------------------------------------------

    def on_message_begin(self) -> None:
        """Note that a head has begun, perhaps in the same piece as the request before it."""
        self._received = max(self._received, 1)
        self._target, self._fields = b"", []

    def on_url(self, url: bytes) -> None:
        """Note the target of the request, or a part of it."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a field of the head.

        Raises:
            ValueError: The field is after the body. The protocol would treat it as a field of the
                head, although proxies have not checked it.
        """
        if not self._in_head:
            raise ValueError("a trailer")
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Note that a head is complete.

        Raises:
            ValueError: The target and `Host` name different hosts. The protocol ignores the host
                of the target, although it has precedence (RFC 9112 section 3.2.2).
        """
        if not self._target.startswith((b"/", b"*")):
            hosts = [value for name, value in self._fields if name == b"host"]
            if hosts != [_authority(self._target)]:
                raise ValueError("two hosts")
        parser = self._parser
        self._is_plain = (
            parser.get_method() == b"GET"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
        )
        self._in_head = False
        self._requests += 1
        self._read_by = math.inf

    def on_message_complete(self) -> None:
        """Note that a request is complete; the next head may follow."""
        self._in_head = True
        self._received = 0
        self._read_by = math.inf

    # --- limits -----------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Close the connection if one of its deadlines has passed."""
        transport = self._transport
        if transport is None:
            return
        if now > self._write_by:
            self.abort()
        elif transport.is_closing():
            if self._write_by == math.inf:  # what is left to send has to be sent in time
                self._write_by = now + self._limits.write_seconds
        elif now > self._read_by and transport.is_reading():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self._is_idle():
            self._close_unused(transport, now)

    def abort(self) -> None:
        """Close at once, and drop what was not sent."""
        if self._transport is None:
            return
        if (connection := self._transport.get_extra_info("socket")) is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def _is_idle(self) -> bool:
        """True between requests: everything is received, answered, and taken by the system."""
        return (
            self._requests == self._answered
            and not self._received
            and self._protocol is not None
            and self._write_by == math.inf
        )

    def _is_crowded(self) -> bool:
        """True if too many requests are not answered."""
        return self._requests - self._answered > _PIPELINED

    def _take_waiting(self) -> None:
        """Take what was received, until too many requests are not answered; then read no more."""
        while self._waiting and self._protocol and not self._is_crowded():
            piece = bytes(self._waiting[:_SLICE])
            del self._waiting[:_SLICE]
            self._take(piece)
        if self._protocol is None:  # refused
            self._waiting.clear()
        else:
            self._seen.hold_reading(held=bool(self._waiting))

    def _close_unused(self, transport: asyncio.Transport, now: float) -> None:
        """Close the connection if it has been idle since too long ago."""
        requests, since = self._idle_at
        if requests != self._requests:
            self._idle_at = self._requests, now
        elif now - since > self._limits.idle_seconds and self._requests:
            transport.close()

    def _respond(self, response: bytes) -> None:
        """Send a direct answer to the request that was received last."""
        self._answered += 1
        self._read_by = math.inf
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(response)

    def _take(self, data: bytes, direct: DirectAnswers | None = None) -> None:
        """Check data, and answer or pass it on.

        Args:
            data: What was received.
            direct: What may answer a request that begins with these bytes.
        """
        protocol = self._protocol
        if protocol is None:  # refused: what still arrives is dropped
            return
        self._received += len(data)
        whole = self._whole_head(data) if self._in_head else data
        before = self._requests
        try:
            self._parser.feed_data(whole)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._requests = before  # a head may have ended just before what is wrong
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        if self._received:
            self._bound_unfinished()
        elif direct is not None and self._requests == before + 1:
            response = self._learn(data, direct)
            if response is not None:
                self._respond(response)
                return
        if self._protocol and whole:
            protocol.data_received(whole)

    def _learn(self, request: bytes, direct: DirectAnswers) -> bytes | None:
        """Return the direct answer to a request that was parsed whole, if there is one."""
        target, fields = self._target, self._fields
        self._target, self._fields = b"", []  # an idle connection does not keep them
        return direct.learn(request, target, fields) if self._is_plain else None

    def _whole_head(self, data: bytes) -> bytes:
        """Return nothing until a head is complete, then the head and the bytes behind it.

        An offer to change the protocol is renamed, because the parser would take it for accepted
        and the body for the other protocol. Java's client makes this offer with every request.
        """
        searched = max(0, len(self._head) - len(_END) + 1)
        self._head += data
        end = self._head.find(_END, searched)
        if end < 0 and self._head[:1].isalpha() and len(self._head) <= self._limits.head_bytes:
            return b""
        whole, self._head = bytes(self._head), bytearray()
        if b"upgrade" in whole[:end].lower():
            whole = _UPGRADE.sub(b"\r\nx-grade:", whole[: end + 2]) + whole[end + 2 :]
        return whole

    def _bound_unfinished(self) -> None:
        """Start the deadline of a head or body that is not complete, and bound its bytes."""
        limits = self._limits
        if self._in_head and self._received > limits.head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._received > limits.message_bytes:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif self._read_by == math.inf:
            seconds = limits.head_seconds if self._in_head else limits.body_seconds
            self._read_by = self._loop.time() + seconds

    def _refuse(self, status: HTTPStatus) -> None:
        """Send the reason and close; close only, if an earlier answer may be under way."""
        transport, protocol = self._transport, self._protocol
        assert transport is not None  # noqa: S101 - there is a connection
        self._read_by = math.inf
        self._write_by = self._loop.time() + _LINGER_SECONDS
        if transport.is_closing():
            return
        if self._requests:
            transport.close()
            return
        self._protocol = None
        if protocol:
            protocol.connection_lost(ConnectionAbortedError("refused"))
        transport.write(refusal(status))
        if not transport.can_write_eof():  # TLS, which reads on until the client has closed
            transport.close()
            return
        transport.write_eof()
        if not transport.is_reading():
            transport.resume_reading()


def _authority(target: bytes) -> bytes:
    """Return the host and port of a target in absolute form."""
    return _AUTHORITY_END.split(target.partition(b"://")[2], maxsplit=1)[0]
