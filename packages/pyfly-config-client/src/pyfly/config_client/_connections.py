"""The connections of a process that stay open: one pool for threads, one for each event loop.

Knows transports only as something with one connection that can be closed.
"""

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pyfly.config_client._exchange import HttpRequest, HttpResponse, TlsFiles

if TYPE_CHECKING:
    import asyncio


class _Closes(Protocol):
    """A transport for threads."""

    def close(self) -> None: ...


class _ClosesInLoop(Protocol):
    """A transport for an event loop."""

    async def aclose(self) -> None: ...


T = TypeVar("T")
B = TypeVar("B", bound=_Closes)
A = TypeVar("A", bound=_ClosesInLoop)
Key: TypeAlias = tuple[object, ...]

IDLE_SECONDS: Final = 20.0
"""An idle connection is not used after this time, because servers and proxies close it soon."""
_MOST_IDLE: Final = 4
"""How many idle connections to one server stay open."""


def key_of(request: HttpRequest, tls: TlsFiles) -> Key:
    """Return what two requests have in common that may use the same connection.

    The identities of the files for TLS belong to it, because renewed files need a new connection.
    """
    parts = urlsplit(request.url)
    files = (tls.ca_file, tls.client_cert, tls.client_key) if parts.scheme == "https" else ()
    return (parts.scheme, parts.netloc, *(one and _file_identity(one) for one in files))


def _file_identity(path: "str | os.PathLike[str]") -> Key:
    try:
        found = os.stat(path)  # noqa: PTH116 - a text or a path
    except OSError:
        return (path,)
    return (path, found.st_ino, found.st_size, found.st_mtime_ns)


class Connection(Generic[T]):
    """A transport with one connection, for one exchange at a time.

    A pool of httpx does not tell which socket serves a request until there is a response. Another
    thread must be able to end an exchange before that, so every connection has its own transport.

    Args:
        transport: The transport.
        opened: The connections of the process, to which this one is added.
    """

    def __init__(self, transport: T, opened: "weakref.WeakSet[Connection[Any]]") -> None:
        self.transport: Final = transport
        self.idle_since: float = 0.0
        self._socket: socket.socket | None = None
        self._duplicate: socket.socket | None = None
        opened.add(self)

    def connected(self, new: socket.socket) -> None:
        """Keep a socket, and a duplicate of it, because TLS takes over the first."""
        self._forget_duplicate()
        self._socket, self._duplicate = new, new.dup()

    def secured(self, new: socket.socket) -> None:
        """Keep the socket of TLS instead."""
        self._socket = new

    def shut_down(self) -> None:
        """End the exchange; from any thread."""
        duplicate = self._duplicate
        if duplicate is not None:
            with contextlib.suppress(OSError):  # closed already
                duplicate.shutdown(socket.SHUT_RDWR)

    def close(self: "Connection[B]") -> None:
        """Close the connection of a transport for threads."""
        self.transport.close()
        self._forget_duplicate()

    def leave(self) -> None:
        """Close the sockets of a forked process, without sending anything."""
        for one in (self._duplicate, self._socket):
            if one is not None:
                one.close()

    def _forget_duplicate(self) -> None:
        duplicate, self._duplicate = self._duplicate, None
        if duplicate is not None:
            duplicate.close()


class Pool(Generic[T]):
    """The idle connections of all threads, or of one event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Key, list[Connection[T]]] = {}

    def take(self, key: Key) -> tuple[Connection[T] | None, list[Connection[T]]]:
        """Return an idle connection, if there is one, and others that the caller must close."""
        oldest = time.monotonic() - IDLE_SECONDS
        with self._lock:
            expired = [o for all_ in self._idle.values() for o in all_ if o.idle_since < oldest]
            self._idle = {
                known: kept
                for known, all_ in self._idle.items()
                if (kept := [one for one in all_ if one.idle_since >= oldest])
            }
            usable = self._idle.get(key)
            return usable.pop() if usable else None, expired

    def give(self, key: Key, connection: Connection[T], response: HttpResponse) -> bool:
        """Keep a connection after a response; False if the caller must close it."""
        if "close" in response.headers.get("connection", "").lower():
            return False
        connection.idle_since = time.monotonic()
        with self._lock:
            kept = self._idle.setdefault(key, [])
            if len(kept) >= _MOST_IDLE:
                return False
            kept.append(connection)
        return True

    def drain(self) -> list[Connection[T]]:
        """Return all idle connections, which the caller must close."""
        with self._lock:
            drained, self._idle = self._idle, {}
        return [one for all_ in drained.values() for one in all_]


class ProcessConnections(Generic[B, A]):
    """The connections of this process. A forked process begins without any."""

    def __init__(self) -> None:
        self._inherited: list[object] = []
        self._begin()

    def _begin(self) -> None:
        self.open: weakref.WeakSet[Connection[Any]] = weakref.WeakSet()
        self.pool: Pool[B] = Pool()
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, _LoopPool[A]] = {}

    async def pool_of(self, loop: "asyncio.AbstractEventLoop") -> Pool[A]:
        """Return the idle connections of an event loop; they are closed when it ends."""
        found = self._loops.get(loop)
        if found is None:
            found = _LoopPool[A]()
            with self._lock:
                running = {one: pool for one, pool in self._loops.items() if not one.is_closed()}
                self._loops = running | {loop: found}
            await anext(found.keeper)
        return found.pool

    def after_fork(self) -> None:
        """Use no connection of the parent process."""
        for one in self.open:
            one.leave()
        # Kept, because the end of a keeper would wake the event loop of the parent.
        self._inherited.append(self._loops)
        self._begin()

    def close(self) -> None:
        """Close the idle connections of all threads."""
        for one in self.pool.drain():
            one.close()


class _LoopPool(Generic[A]):
    """The idle connections of one event loop.

    An event loop closes its asynchronous generators when it ends, so a generator closes them.
    """

    def __init__(self) -> None:
        self.pool: Pool[A] = Pool()
        self.keeper = self._keep()

    async def _keep(self) -> "AsyncGenerator[None]":
        try:
            yield
        finally:
            for one in self.pool.drain():
                await one.transport.aclose()
