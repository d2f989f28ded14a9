"""TLS contexts, the connections of a process that stay open, and why one failed. Without httpx.

There is one pool for threads, and one for each event loop. Texts of errors name hosts, files and
reasons, never a credential or a value.
"""

import contextlib
import errno
import os
import socket
import ssl
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from pyfly.config_client._disk import read_file
from pyfly.config_client._requests import HttpRequest, HttpResponse, TlsFiles
from pyfly.config_client.errors import ServerUnreachableError, printable

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


# --- files for TLS --------------------------------------------------------------------

_MAX_FILE_BYTES: Final = 16 * 1024 * 1024


def make_context(files: TlsFiles, public: ssl.SSLContext | None = None) -> ssl.SSLContext:
    """Return a TLS context made of files; `public` is used if there is no `ca_file`.

    Raises:
        ValueError: A file cannot be read or used. The error names it.
    """
    context = public or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if files.ca_file is not None:
        _check_readable("ca_file", files.ca_file)
        try:
            context = ssl.create_default_context(cafile=files.ca_file)
        except (ssl.SSLError, ValueError):
            name = os.fspath(files.ca_file)
            raise ValueError(f"ca_file {name}: contains no certificates") from None
    if files.client_cert is not None:
        _load_client(context, files.client_cert, files.client_key)
    elif files.client_key is not None:
        raise ValueError("client_key is given without client_cert")
    return context


def _load_client(
    context: ssl.SSLContext,
    client_cert: str | os.PathLike[str],
    client_key: str | os.PathLike[str] | None,
) -> None:
    _check_readable("client_cert", client_cert)
    if client_key is not None:
        _check_readable("client_key", client_key)
    try:
        # Never ask for a password on the terminal: a key that needs one cannot be used.
        context.load_cert_chain(client_cert, client_key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        names = " and ".join(os.fspath(one) for one in (client_cert, client_key) if one)
        reason = getattr(error, "reason", None) or "not a certificate with its key"
        raise ValueError(f"client_cert {names}: cannot be used: {reason}") from None


def _check_readable(name: str, path: str | os.PathLike[str]) -> None:
    try:
        read_file(path, limit=_MAX_FILE_BYTES)
    except OSError as error:
        raise ValueError(f"{name} {os.fspath(path)}: {error.strerror}") from None


# --- reasons of failures --------------------------------------------------------------

_NOT_TLS: Final = {
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}
_CUT_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError)
_MAX_DEPTH: Final = 20


def root_cause(error: BaseException) -> BaseException:
    """Return the error of the operating system or of TLS that caused another error.

    Its own traceback and causes are removed, so that a traceback shows two errors instead of the
    chain of all libraries between them.
    """
    found = next((one for one in _chain(error) if _has_reason(one)), error)
    found.__cause__ = found.__context__ = None
    return found.with_traceback(None)


def unreachable(url: str, host: str, cause: BaseException) -> ServerUnreachableError | None:
    """Return an error that says why a server was not reached; `None` if the reason is unknown.

    `host` has the port if the address has one, and `cause` is what `root_cause` returns.
    """
    reason, permanent = _reason(host, cause)
    if not reason:
        return None
    return ServerUnreachableError(f"{url}: {reason}", permanent=permanent)


def protocol_error(text: str, url: str, host: str) -> ServerUnreachableError:
    """Return the error for a connection that does not carry HTTP, by what the parser says."""
    secure = url.startswith("https:")
    hint = "" if secure else "; the address may have to begin with https://"
    if "illegal request line" in text:  # begins with a control character, as a TLS alert does
        reason = f"{host} does not speak HTTP{hint}"
        return ServerUnreachableError(f"{url}: {reason}", permanent=True)
    if "without sending a response" in text:
        reason = f"{host} closed the connection without a response{hint}"
    elif "incomplete" in text or "without sending complete" in text:
        reason = f"{host} cut off the response"
    else:
        reason = f"the response of {host} is not HTTP"
    return ServerUnreachableError(f"{url}: {reason}")


def _reason(host: str, cause: BaseException) -> tuple[str, bool]:
    """Return the reason, and whether a later attempt cannot help."""
    reason, permanent = "", False
    match cause:
        case socket.gaierror():
            reason = _name_reason(host, cause)
        case ssl.SSLCertVerificationError():
            why = printable(cause.verify_message)
            reason, permanent = f"the certificate of {host} is not trusted: {why}", True
        case ConnectionRefusedError():
            reason = f"connection refused by {host}; check that the server is running"
        case _ if isinstance(cause, _CUT_OFF):
            reason = f"the connection was cut off by {host}"
        case ssl.SSLError():
            reason, permanent = _tls_reason(host, cause), True
        case UnicodeError():
            reason, permanent = f"{printable(host)} is not a valid host name", True
        case OSError() if cause.errno:
            reason = f"cannot connect to {host}: {_error_text(cause)}"
        case _:
            pass
    return reason, permanent


def _name_reason(host: str, cause: OSError) -> str:
    name = host.rpartition(":")[0] or host
    unknown = {getattr(socket, one, None) for one in ("EAI_NONAME", "EAI_NODATA")}
    if cause.errno in unknown:
        return f"unknown host name {name}; check its spelling"
    return f"cannot look up the host name {name}: {_error_text(cause)}"


def _tls_reason(host: str, cause: ssl.SSLError) -> str:
    reason = cause.reason or ""
    if reason in _NOT_TLS:
        return f"{host} does not use TLS; the address may have to begin with http://"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return f"{host} requires a client certificate; set client_cert (TLS: {reason})"
    return f"TLS with {host} failed: {printable(reason) or type(cause).__name__}"


def _error_text(cause: OSError) -> str:
    code = cause.errno or 0
    return printable(cause.strerror or errno.errorcode.get(code, type(cause).__name__))


def _has_reason(error: BaseException) -> bool:
    """True for errors of the operating system and of TLS, which state a reason."""
    if isinstance(error, UnicodeError):
        return True
    return isinstance(error, OSError) and (
        error.errno is not None or isinstance(error, ssl.SSLError | ConnectionError)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the nearest first."""
    waiting: list[BaseException | None] = [error]
    for _ in range(_MAX_DEPTH):
        if not waiting:
            return
        one = waiting.pop(0)
        if one is None:
            continue
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions
        waiting += [one.__cause__, one.__context__]
