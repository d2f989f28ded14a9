"""Sends requests with httpx. The only module that imports it; loaded with the first request.

All clients of a process share their connections: those without an event loop in one pool, those
in an event loop in the pool of that loop.
"""

import atexit
import contextlib
import os
import socket
import ssl
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx

from pyfly.config_client._exchange import HttpRequest, HttpResponse, TlsFiles
from pyfly.config_client._forks import Openings, forget_after_fork
from pyfly.config_client._network import make_context, root_cause, unreachable
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerUnreachableError,
    late_response,
)
from pyfly.config_core.limits import MAX_ANSWER_BYTES

if TYPE_CHECKING:
    import asyncio

# httpx passes on a late TLS alert, an OSError, and the ValueError for an invalid host name.
_FAILURES: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
    UnicodeError,
    ssl.CertificateError,
)
_CANNOT_BE_SENT: Final = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_CHUNK_BYTES: Final = 65536

# Events of the `trace` extension of httpx.
_CONNECTING: Final = "connection.connect_tcp.started"
_CONNECTED: Final = "connection.connect_tcp.complete"
_NOT_CONNECTED: Final = "connection.connect_tcp.failed"
_SECURED: Final = "connection.start_tls.complete"

Inner = httpx.AsyncBaseTransport | httpx.BaseTransport


async def send(request: HttpRequest, tls: TlsFiles, inner: Inner | None) -> HttpResponse:
    """Send a GET request and return the whole response, within the timeout of the request.

    Raises:
        ServerUnreachableError: There was no whole response in time.
        InvalidPayloadError: The body is larger than 8 MiB, or its encoding is broken.
    """
    import asyncio  # noqa: PLC0415 - takes 40 ms to import; blocking exchanges do without

    if inner is not None and not hasattr(inner, "handle_async_request"):
        return await asyncio.to_thread(BlockingExchange(request, tls, inner).run)
    try:
        async with asyncio.timeout(request.timeout):
            if inner is not None:
                return await _send_over(inner, request)
            return await _send_in_loop(request, tls, asyncio.get_running_loop())
    except TimeoutError:
        raise late_response(request.url, request.timeout) from None
    except _FAILURES as error:
        cause = root_cause(error)
        raise translate(error, cause, request.url) from cause


async def _send_in_loop(
    request: HttpRequest, tls: TlsFiles, loop: "asyncio.AbstractEventLoop"
) -> HttpResponse:
    """Send a request over an idle connection of an event loop, or over a new one."""
    key = _key(request, tls)
    pool = await _process.pool_of(loop)
    idle, expired = pool.take(key)
    for one in expired:
        await one.transport.aclose()
    while True:
        used = idle or _Connection(
            httpx.AsyncHTTPTransport(verify=_verification(request.url, tls), **_ONE_CONNECTION)
        )
        began = time.monotonic()
        try:
            response = await _send_over(used.transport, request)
        except BaseException as error:
            await used.transport.aclose()
            if idle is None or not _was_closed_while_idle(error, began):
                raise
            idle = None
            continue
        if not pool.give(key, used, response):
            await used.transport.aclose()
        return response


async def _send_over(transport: Inner, request: HttpRequest) -> HttpResponse:
    borrowed = _Borrowed(transport)
    client = httpx.AsyncClient(transport=borrowed, trust_env=False, timeout=request.timeout)
    headers, traced = _headers(request), {"trace": _trace_in_loop(object())}
    async with (
        client,
        client.stream("GET", request.url, headers=headers, extensions=traced) as response,
    ):
        body = _Body(request.url)
        if response.is_stream_consumed:  # an inner transport may give it at once
            body.add(response.content)
        else:
            async for chunk in response.aiter_raw(_CHUNK_BYTES):
                body.add(chunk)
        return body.response(response)


def _trace_in_loop(key: object) -> "Callable[[str, dict[str, Any]], Coroutine[Any, Any, None]]":
    """Return a function that tells forks when a connection is being opened."""
    import asyncio  # noqa: PLC0415 - as in `send`

    async def trace(event: str, _: dict[str, Any]) -> None:
        if event == _CONNECTING:
            for seconds in _openings.begin(key, in_loop=True):
                await asyncio.sleep(seconds)
        elif event in {_CONNECTED, _NOT_CONNECTED}:
            _openings.end(key)

    return trace


class BlockingExchange:
    """Sends a request without an event loop; see `Exchange`.

    Timeouts of sockets bound single reads, and the lookup of a name is not bounded at all. So a
    thread sends the request. At the deadline `run` returns, and shuts down the socket, which ends
    the thread.
    """

    def __init__(self, request: HttpRequest, tls: TlsFiles, inner: Inner | None) -> None:
        self._request = request
        self._tls = tls
        self._inner = inner
        self._done = threading.Event()
        self._result: HttpResponse | BaseException | None = None
        self._connection: _Connection[httpx.HTTPTransport] | None = None
        self._aborted = False

    def run(self) -> HttpResponse:
        """Return the whole response.

        Raises:
            ServerUnreachableError: As `send`; also if another thread aborted the exchange.
            InvalidPayloadError: As `send`.
        """
        if not self._aborted:
            threading.Thread(target=self._work, name="pyfly-config-exchange", daemon=True).start()
        try:
            self._done.wait(self._request.timeout)
        finally:
            if self._result is None:
                self.abort()
        result = self._result
        if result is None:
            raise late_response(self._request.url, self._request.timeout)
        if isinstance(result, BaseException):
            raise result
        return result

    def abort(self) -> None:
        """End the exchange now, from any thread."""
        self._aborted = True
        self._done.set()
        connection = self._connection
        if connection is not None:
            connection.shut_down()

    def _work(self) -> None:
        try:
            result: HttpResponse | BaseException = self._exchange()
        except _FAILURES as error:
            cause = root_cause(error)
            result = translate(error, cause, self._request.url)
            result.__cause__ = cause
        except BaseException as error:  # noqa: BLE001 - `run` raises it again
            result = error
        if not self._aborted:
            self._result = result
        self._done.set()

    def _exchange(self) -> HttpResponse:
        request, inner = self._request, self._inner
        if inner is None:
            return self._send()
        if hasattr(inner, "handle_request"):
            return self._send_over(inner)
        import asyncio  # noqa: PLC0415 - only for an inner transport that needs it

        return asyncio.run(send(request, self._tls, inner))

    def _send(self) -> HttpResponse:
        """Send the request over an idle connection of the threads, or over a new one."""
        key, pool = _key(self._request, self._tls), _process.pool
        idle, expired = pool.take(key)
        for one in expired:
            one.close()
        while True:
            used = idle or self._new_connection()
            began = time.monotonic()
            try:
                response = self._send_with(used)
            except BaseException as error:
                used.close()
                if self._aborted or idle is None or not _was_closed_while_idle(error, began):
                    raise
                idle = None
                continue
            if self._aborted or not pool.give(key, used, response):
                used.close()
            return response

    def _new_connection(self) -> "_Connection[httpx.HTTPTransport]":
        """Make a connection; forks wait, because OpenSSL holds locks, too."""
        for seconds in _openings.begin(self):
            time.sleep(seconds)
        try:
            verify = _verification(self._request.url, self._tls)
            return _Connection(httpx.HTTPTransport(verify=verify, **_ONE_CONNECTION))
        finally:
            _openings.end(self)

    def _send_with(self, connection: "_Connection[httpx.HTTPTransport]") -> HttpResponse:
        self._connection = connection
        try:
            if self._aborted:
                connection.shut_down()
            return self._send_over(connection.transport)
        finally:
            self._connection = None

    def _send_over(self, transport: Inner) -> HttpResponse:
        request = self._request
        traced: Mapping[str, Callable[[str, dict[str, Any]], None]] = {"trace": self._trace}
        client = httpx.Client(
            transport=_Borrowed(transport), trust_env=False, timeout=request.timeout
        )
        headers = _headers(request)
        with (
            client,
            client.stream("GET", request.url, headers=headers, extensions=traced) as response,
        ):
            body = _Body(request.url)
            if response.is_stream_consumed:
                body.add(response.content)
            else:
                for chunk in response.iter_raw(_CHUNK_BYTES):
                    body.add(chunk)
            return body.response(response)

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Tell forks of a new connection, and keep its socket.

        With the socket another thread can end the exchange.
        """
        if event == _CONNECTING:
            for seconds in _openings.begin(self):
                time.sleep(seconds)
        elif event in {_CONNECTED, _NOT_CONNECTED}:
            _openings.end(self)
        connection = self._connection
        if connection is None:
            return
        if event == _CONNECTED:
            connection.connected(info["return_value"].get_extra_info("socket"))
            if self._aborted:
                connection.shut_down()
        elif event == _SECURED:
            connection.secured(info["return_value"].get_extra_info("socket"))


class _Body:
    """Collects the body of a response, up to the largest size that is allowed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._content = bytearray()

    def add(self, chunk: bytes) -> None:
        """Append a chunk.

        Raises:
            InvalidPayloadError: The body becomes too large.
        """
        self._content += chunk
        if len(self._content) > MAX_ANSWER_BYTES:
            raise InvalidPayloadError(
                f"{self._url}: the response is larger than {MAX_ANSWER_BYTES:,} bytes"
            )

    def response(self, response: httpx.Response) -> HttpResponse:
        """Return the whole response."""
        return HttpResponse(
            status=response.status_code, headers=dict(response.headers), body=bytes(self._content)
        )


class _Borrowed(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Another transport, which is not closed when the httpx client is closed."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await self._inner.handle_async_request(request)
        return response

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = self._inner.handle_request(request)
        return response


def _verification(url: str, tls: TlsFiles) -> ssl.SSLContext | bool:
    """Return the `verify` argument for httpx.

    Raises:
        ServerUnreachableError: A file cannot be used; a later attempt does not help.
    """
    if not url.startswith("https:"):
        # An empty context costs nothing; loading all public certificates takes 100 ms.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not tls.given:
        return True
    try:
        public = None if tls.ca_file else httpx.create_ssl_context(trust_env=False)
        return make_context(tls, public)
    except ValueError as error:
        raise ServerUnreachableError(f"{url}: {error}", permanent=True) from None


def _headers(request: HttpRequest) -> dict[bytes, bytes]:
    """Return the headers as bytes, because httpx rejects a token that is not ASCII."""
    return {name.encode(): value.encode() for name, value in request.headers.items()}


def translate(error: Exception, cause: BaseException, url: str) -> ConfigClientError:
    """Return the error of this package for an error of httpx.

    Args:
        error: What httpx raised. Its text is not shown.
        cause: As `root_cause` returns it.
        url: The requested address, without credentials.
    """
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        return InvalidPayloadError(f"{url}: the response cannot be decoded")
    if isinstance(error, _CANNOT_BE_SENT):
        reason = f"the request cannot be sent ({type(error).__name__})"
        return ServerUnreachableError(f"{url}: {reason}", permanent=True)
    host = httpx.URL(url).netloc.decode()
    if isinstance(error, httpx.RemoteProtocolError):
        return _protocol_error(str(error), url, host)
    known = unreachable(url, host, cause)
    if isinstance(error, httpx.ProxyError):
        reason = f"the proxy did not connect to {host}"
    elif isinstance(error, httpx.TimeoutException):
        reason = f"{host} did not respond in time"
    elif known is not None:
        return known
    else:
        reason = f"the exchange failed ({type(error).__name__})"
    return ServerUnreachableError(f"{url}: {reason}")


def _protocol_error(text: str, url: str, host: str) -> ServerUnreachableError:
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


def is_international_host(host: str) -> bool:
    """True if a name that is not ASCII is a valid host name."""
    try:
        return bool(httpx.URL(scheme="http", host=host).raw_host)
    except (httpx.InvalidURL, ValueError):
        return False


# --- connections ----------------------------------------------------------------------

_Transport = TypeVar("_Transport", httpx.HTTPTransport, httpx.AsyncHTTPTransport)
_Key: TypeAlias = tuple[object, ...]

_IDLE_SECONDS: Final = 20.0
"""An idle connection is not used after this time, because servers and proxies close it soon."""
_MOST_IDLE: Final = 4
"""How many idle connections to one server stay open."""
_AT_ONCE_SECONDS: Final = 1.0
"""A request over a connection that the server has closed fails within this time."""
_ONE_CONNECTION: Final[Mapping[str, Any]] = {
    "trust_env": False,
    "limits": httpx.Limits(
        max_connections=1, max_keepalive_connections=1, keepalive_expiry=_IDLE_SECONDS
    ),
}


def _key(request: HttpRequest, tls: TlsFiles) -> _Key:
    """Return what two requests have in common that may use the same connection.

    The identities of the files for TLS belong to it, because renewed files need a new connection.
    """
    parts = urlsplit(request.url)
    files = (tls.ca_file, tls.client_cert, tls.client_key) if parts.scheme == "https" else ()
    return (parts.scheme, parts.netloc, *(one and _file_identity(one) for one in files))


def _file_identity(path: "str | os.PathLike[str]") -> _Key:
    try:
        found = os.stat(path)  # noqa: PTH116 - a text or a path
    except OSError:
        return (path,)
    return (path, found.st_ino, found.st_size, found.st_mtime_ns)


def _was_closed_while_idle(error: BaseException, began: float) -> bool:
    """True if the server closed an idle connection before it received the request."""
    if time.monotonic() - began > _AT_ONCE_SECONDS:
        return False
    if isinstance(error, httpx.RemoteProtocolError):
        return "without sending a response" in str(error)
    return isinstance(error, httpx.ReadError | httpx.WriteError)


class _Connection(Generic[_Transport]):
    """A transport of httpx with one connection, for one exchange at a time.

    A pool of httpx does not tell which socket serves a request until there is a response. Another
    thread must be able to end an exchange before that, so every connection has its own transport.
    """

    def __init__(self, transport: _Transport) -> None:
        self.transport: _Transport = transport
        self.idle_since: float = 0.0
        self._socket: socket.socket | None = None
        self._duplicate: socket.socket | None = None
        _process.open.add(self)

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

    def close(self: "_Connection[httpx.HTTPTransport]") -> None:
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


class _Pool(Generic[_Transport]):
    """The idle connections of all threads, or of one event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[_Key, list[_Connection[_Transport]]] = {}

    def take(
        self, key: _Key
    ) -> tuple[_Connection[_Transport] | None, list[_Connection[_Transport]]]:
        """Return an idle connection, if there is one, and others that the caller must close."""
        oldest = time.monotonic() - _IDLE_SECONDS
        with self._lock:
            expired = [o for all_ in self._idle.values() for o in all_ if o.idle_since < oldest]
            self._idle = {
                known: kept
                for known, all_ in self._idle.items()
                if (kept := [one for one in all_ if one.idle_since >= oldest])
            }
            usable = self._idle.get(key)
            return usable.pop() if usable else None, expired

    def give(self, key: _Key, connection: _Connection[_Transport], response: HttpResponse) -> bool:
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

    def drain(self) -> list[_Connection[_Transport]]:
        """Return all idle connections, which the caller must close."""
        with self._lock:
            drained, self._idle = self._idle, {}
        return [one for all_ in drained.values() for one in all_]


class _ProcessConnections:
    """The connections of this process. A forked process begins without any."""

    def __init__(self) -> None:
        self._inherited: list[object] = []
        self._begin()

    def _begin(self) -> None:
        self.open: weakref.WeakSet[_Connection[Any]] = weakref.WeakSet()
        self.pool: _Pool[httpx.HTTPTransport] = _Pool()
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, _LoopPool] = {}

    async def pool_of(self, loop: "asyncio.AbstractEventLoop") -> _Pool[httpx.AsyncHTTPTransport]:
        """Return the idle connections of an event loop; they are closed when it ends."""
        found = self._loops.get(loop)
        if found is None:
            found = _LoopPool()
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


class _LoopPool:
    """The idle connections of one event loop.

    An event loop closes its asynchronous generators when it ends, so a generator closes them.
    """

    def __init__(self) -> None:
        self.pool: _Pool[httpx.AsyncHTTPTransport] = _Pool()
        self.keeper = self._keep()

    async def _keep(self) -> "AsyncGenerator[None]":
        try:
            yield
        finally:
            for one in self.pool.drain():
                await one.transport.aclose()


_openings: Final = Openings()
_openings.delay_forks()
_process: Final = _ProcessConnections()
atexit.register(_process.close)
forget_after_fork(_process.after_fork)
