"""Watchers: thousands of held requests, each on a connection of its own, in one event loop.

A watcher asks for a document, then holds a request with the entity tag that it got, again and
again. Nothing here is an HTTP client: a watcher costs some microseconds for each answer, so that
the server is measured and not the load generator.
"""

import asyncio
import contextlib
import re
import resource
import socket
import struct
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import uvloop

ResultT = TypeVar("ResultT")

HOST = "127.0.0.1"
TOGETHER = 100
"""Connections that are made at once; more would fill the queue of the listener."""
RETRY_SECONDS = 0.05
_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ETAG = re.compile(rb"\r\netag: *([^\r]+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_MARK = re.compile(rb"mark-(\d+)")
_RESET = struct.pack("ii", 1, 0)


def mark(number: int) -> str:
    """Return the value by which watchers know the number of a publish."""
    return f"mark-{number:06}"


def raise_descriptors() -> None:
    """Let this process, and those that it starts, open as many files as they may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine in a fast event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


class Fleet:
    """The watchers, and what they have seen.

    Args:
        port: Of the server. A new one is used for connections that are made from then on.
        paths: Of their documents; one watcher each.
        headers: Of every request.
        wait: Seconds for which an answer may be held back.
    """

    def __init__(
        self, port: int, paths: Sequence[str], *, headers: Mapping[str, str], wait: int = 290
    ) -> None:
        self.port = port
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._fields = f"Host: {HOST}\r\n{fields}".encode()
        self._wait = f"Prefer: wait={wait}\r\nIf-None-Match: ".encode()
        self.watchers = [Watcher(self, path.encode()) for path in paths]
        self.held = 0
        """Watchers whose request has an entity tag, and no answer yet."""
        self.number = 0
        """The publish that watchers are expected to see."""
        self.times: list[float] = []
        """When each watcher had an answer with that number, or a higher one."""
        self.changed = self.unchanged = self.closing = 0
        """Whole answers: with a document, without one, and those that end a connection."""
        self.refused = self.cut = self.backward = 0
        """Other statuses; connections that ended within a request; older documents than before."""
        self.leaving = False
        self._informed = asyncio.Event()

    async def connect(self) -> None:
        """Connect all, and wait until each holds a request."""
        for first in range(0, len(self.watchers), TOGETHER):
            await asyncio.gather(
                *(one.connect() for one in self.watchers[first : first + TOGETHER])
            )
        while self.held < len(self.watchers):
            await asyncio.sleep(RETRY_SECONDS)

    def expect(self, number: int) -> None:
        """Begin to measure a publish."""
        self.number = number
        self.times.clear()
        self._informed.clear()

    async def informed(self, seconds: float) -> int:
        """Wait until every watcher has seen the publish; return how many have not in that time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._informed.wait(), seconds)
        return sum(watcher.seen < self.number for watcher in self.watchers)

    def close(self) -> None:
        """End all connections at once, without leaving a trace in the system."""
        self.leaving = True
        for watcher in self.watchers:
            watcher.reset()

    def request(self, path: bytes, etag: bytes) -> bytes:
        """Return a request that is held, or without an entity tag one that is answered at once."""
        held = self._wait + etag + b"\r\n" if etag else b""
        return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, self._fields, held)

    def saw(self, watcher: "Watcher", number: int) -> None:
        """Note the number in an answer."""
        if number < watcher.seen:
            self.backward += 1
        if watcher.seen < self.number <= number:
            self.times.append(time.perf_counter())
            if len(self.times) == len(self.watchers):
                self._informed.set()
        watcher.seen = number


class Watcher(asyncio.Protocol):
    """One client that always holds a request."""

    __slots__ = ("_asked", "_data", "_fleet", "_path", "_transport", "etag", "seen")

    def __init__(self, fleet: Fleet, path: bytes) -> None:
        self._fleet = fleet
        self._path = path
        self._transport: Any = None
        self._data = b""
        self._asked = False
        self.etag = b""
        self.seen = -1

    async def connect(self) -> None:
        """Connect, however often it takes."""
        loop = asyncio.get_running_loop()
        while not self._fleet.leaving:
            try:
                await loop.create_connection(lambda: self, HOST, self._fleet.port)
            except OSError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    def reset(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            reset(self._transport)

    def connection_made(self, transport: Any) -> None:
        """Ask for the document, or for another one than the last."""
        self._transport, self._data = transport, b""
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Take an answer when it is whole, and ask again."""
        if self._data:
            data = self._data + data
        end = data.find(_END)
        status = data[9:12]
        if end >= 0 and status != b"304":
            length = _LENGTH.search(data, 0, end + 2)
            if length is not None and len(data) < end + len(_END) + int(length[1]):
                end = -1
        if end < 0:
            self._data = data
            return
        self._data, self._asked = b"", False
        self._take(status, data, end + 2)

    def connection_lost(self, exc: Exception | None) -> None:
        """Connect again, unless all are leaving."""
        fleet, self._transport = self._fleet, None
        if self._asked:
            fleet.held -= bool(self.etag)
            fleet.cut += not fleet.leaving
            self._asked = False
        if not fleet.leaving:
            task = asyncio.ensure_future(self.connect())
            _connecting.add(task)
            task.add_done_callback(_connecting.discard)

    def _ask(self) -> None:
        self._asked = True
        self._fleet.held += bool(self.etag)
        self._transport.write(self._fleet.request(self._path, self.etag))

    def _take(self, status: bytes, data: bytes, head: int) -> None:
        fleet = self._fleet
        fleet.held -= bool(self.etag)
        if status == b"200":
            fleet.changed += bool(self.etag)
            etag, number = _ETAG.search(data, 0, head), _MARK.search(data, head)
            self.etag = etag[1] if etag else b""
            fleet.saw(self, int(number[1]) if number else -1)
        elif status == b"304":
            fleet.unchanged += 1
        else:
            fleet.refused += 1
        if _CLOSE.search(data, 0, head):
            fleet.closing += 1
            self._transport.close()
        elif status in {b"200", b"304"}:
            self._ask()
        else:
            self._transport.close()


_connecting: set[asyncio.Future[None]] = set()


def reset(transport: Any) -> None:
    """End a connection with a reset, which leaves no port in use."""
    with contextlib.suppress(OSError, AttributeError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
