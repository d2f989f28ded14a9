"""Sends requests with httpx. The only module that imports it; loaded with the first request.

All clients of a process share their connections: those without an event loop in one pool, those
in an event loop in the pool of that loop.
"""

import atexit
import functools
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

import httpx

from pyfly.config_client._connections import (
    IDLE_SECONDS,
    Connection,
    ProcessConnections,
    key_of,
    make_context,
    protocol_error,
    root_cause,
    unreachable,
)
from pyfly.config_client._forks import LastingThreads, Openings, forget_after_fork
from pyfly.config_client._requests import Body, HttpRequest, HttpResponse, TlsFiles
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerUnreachableError,
    late_response,
)

if TYPE_CHECKING:
    import asyncio

# httpx passes on a late TLS alert, an OSError, and the ValueError for an invalid host name.
_FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError)
_CANNOT_BE_SENT: Final = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_CHUNK_BYTES: Final = 65536

# Events of the `trace` extension of httpx.
_CONNECTED: Final = "connection.connect_tcp.complete"
_SECURED: Final = "connection.start_tls.complete"

Inner = httpx.AsyncBaseTransport | httpx.BaseTransport

_AT_ONCE_SECONDS: Final = 1.0
"""A request over a connection that the server has closed fails within this time."""
_ONE_CONNECTION: Final[Mapping[str, Any]] = {
    "trust_env": False,
    "limits": httpx.Limits(
        max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS
    ),
}


async def send(request: HttpRequest, tls: TlsFiles, inner: Inner | None) -> HttpResponse:
    """Send a GET request and return the whole response, within the timeout of the request.

    Raises:
        ServerUnreachableError: There was no whole response in time.
        InvalidPayloadError: The body is larger than 8 MiB, or its encoding is broken.
    """
    import asyncio  # noqa: PLC0415 - takes 40 ms to import; blocking exchanges do without

    _delay_forks_of_loops()
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


@functools.cache
def _delay_forks_of_loops() -> None:
    """Let forks wait before they lock the threads that look up hosts for event loops."""
    _openings.delay_forks("concurrent.futures.thread")


async def _send_in_loop(
    request: HttpRequest, tls: TlsFiles, loop: "asyncio.AbstractEventLoop"
) -> HttpResponse:
    """Send a request over an idle connection of an event loop, or over a new one."""
    key = key_of(request, tls)
    pool = await _process.pool_of(loop)
    idle, expired = pool.take(key)
    for one in expired:
        await one.transport.aclose()
    while True:
        used = idle or await _new_in_loop(request.url, tls)
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


async def _new_in_loop(url: str, tls: TlsFiles) -> Connection[httpx.AsyncHTTPTransport]:
    import asyncio  # noqa: PLC0415 - as in `send`

    for seconds in _openings.begin(key := object()):
        await asyncio.sleep(seconds)
    try:
        transport = httpx.AsyncHTTPTransport(verify=_verification(url, tls), **_ONE_CONNECTION)
        return Connection(transport, _process.open)
    finally:
        _openings.end(key)


async def _send_over(transport: Inner, request: HttpRequest) -> HttpResponse:
    client = httpx.AsyncClient(
        transport=_Borrowed(transport), trust_env=False, timeout=request.timeout
    )
    headers, traced = _headers(request), {"trace": _trace_in_loop(request.url)}
    async with (
        client,
        client.stream("GET", request.url, headers=headers, extensions=traced) as response,
    ):
        body = Body(request.url)
        if response.is_stream_consumed:  # an inner transport may give it at once
            body.add(response.content)
        else:
            async for chunk in response.aiter_raw(_CHUNK_BYTES):
                body.add(chunk)
        return body.response(response.status_code, dict(response.headers))


def _trace_in_loop(url: str) -> "Callable[[str, dict[str, Any]], Coroutine[Any, Any, None]]":
    """Return a function that tells forks of the steps of one exchange."""
    import asyncio  # noqa: PLC0415 - as in `send`

    key = object()

    async def trace(event: str, _: dict[str, Any]) -> None:
        for seconds in _openings.follow(key, event, url, in_loop=True):
            await asyncio.sleep(seconds)

    return trace


class BlockingExchange:
    """Sends a request without an event loop; see `Exchange`.

    Timeouts of sockets bound single reads, and the lookup of a name is not bounded at all. So a
    thread sends the request. At the deadline `run` returns, and shuts down the socket, which
    frees the thread.
    """

    def __init__(self, request: HttpRequest, tls: TlsFiles, inner: Inner | None) -> None:
        self._request = request
        self._tls = tls
        self._inner = inner
        self._done = threading.Event()
        self._result: HttpResponse | BaseException | None = None
        self._connection: Connection[httpx.HTTPTransport] | None = None
        self._aborted = False

    def run(self) -> HttpResponse:
        """Return the whole response, or raise an error; see `Exchange.run`."""
        if not self._aborted:
            _threads.run(self._work)
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
        key, pool = key_of(self._request, self._tls), _process.pool
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

    def _new_connection(self) -> Connection[httpx.HTTPTransport]:
        """Make a connection; forks wait, because OpenSSL holds locks, too."""
        for seconds in _openings.begin(self):
            time.sleep(seconds)
        try:
            verify = _verification(self._request.url, self._tls)
            transport = httpx.HTTPTransport(verify=verify, **_ONE_CONNECTION)
            return Connection(transport, _process.open)
        finally:
            _openings.end(self)

    def _send_with(self, connection: Connection[httpx.HTTPTransport]) -> HttpResponse:
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
            body = Body(request.url)
            if response.is_stream_consumed:
                body.add(response.content)
            else:
                for chunk in response.iter_raw(_CHUNK_BYTES):
                    body.add(chunk)
            return body.response(response.status_code, dict(response.headers))

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Tell forks of a step, and keep the socket of a new connection.

        With the socket another thread can end the exchange.
        """
        for seconds in _openings.follow(self, event, self._request.url):
            time.sleep(seconds)
        connection = self._connection
        if connection is None:
            return
        if event == _CONNECTED:
            connection.connected(info["return_value"].get_extra_info("socket"))
            if self._aborted:
                connection.shut_down()
        elif event == _SECURED:
            connection.secured(info["return_value"].get_extra_info("socket"))


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
        return _no_tls()
    if not tls.given:
        return True
    try:
        public = None if tls.ca_file else httpx.create_ssl_context(trust_env=False)
        return make_context(tls, public)
    except ValueError as error:
        raise ServerUnreachableError(f"{url}: {error}", permanent=True) from None


@functools.cache
def _no_tls() -> ssl.SSLContext:
    """Return an empty context, also to forked processes: plain HTTP needs no OpenSSL there."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _headers(request: HttpRequest) -> dict[bytes, bytes]:
    """Return the headers as bytes, because httpx rejects a token that is not ASCII."""
    return {name.encode(): value.encode() for name, value in request.headers.items()}


def translate(error: Exception, cause: BaseException, url: str) -> ConfigClientError:
    """Return the error of this package for an error of httpx, whose text is not shown.

    `cause` is what `root_cause` returns.
    """
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        return InvalidPayloadError(f"{url}: the response cannot be decoded")
    if isinstance(error, _CANNOT_BE_SENT):
        reason = f"the request cannot be sent ({type(error).__name__})"
        return ServerUnreachableError(f"{url}: {reason}", permanent=True)
    host = httpx.URL(url).netloc.decode()
    if isinstance(error, httpx.RemoteProtocolError):
        return protocol_error(str(error), url, host)
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


def _was_closed_while_idle(error: BaseException, began: float) -> bool:
    """True if the server closed an idle connection before it received the request."""
    if time.monotonic() - began > _AT_ONCE_SECONDS:
        return False
    if isinstance(error, httpx.RemoteProtocolError):
        return "without sending a response" in str(error)
    return isinstance(error, httpx.ReadError | httpx.WriteError)


def is_international_host(host: str) -> bool:
    """True if a name that is not ASCII is a valid host name."""
    try:
        return bool(httpx.URL(scheme="http", host=host).raw_host)
    except (httpx.InvalidURL, ValueError):
        return False


_openings: Final = Openings()
_openings.delay_forks("logging")
_threads: Final = LastingThreads("pyfly-config-exchange")
_process: Final = ProcessConnections[httpx.HTTPTransport, httpx.AsyncHTTPTransport]()
atexit.register(_process.close)
forget_after_fork(_process.after_fork)
