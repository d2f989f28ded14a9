"""Sends requests with httpx. The only module that imports it; loaded with the first request."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from pyfly.config_client._exchange import HttpRequest, HttpResponse, TlsFiles
from pyfly.config_client._network import make_context, root_cause, unreachable
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerUnreachableError,
    late_response,
)
from pyfly.config_core.limits import MAX_ANSWER_BYTES

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
    url = request.url
    try:
        async with asyncio.timeout(request.timeout):
            used = (
                _Borrowed(inner)
                if inner is not None
                else httpx.AsyncHTTPTransport(verify=_verification(url, tls), trust_env=False)
            )
            client = httpx.AsyncClient(transport=used, trust_env=False, timeout=request.timeout)
            async with client, client.stream("GET", url, headers=_headers(request)) as response:
                body = _Body(url)
                if response.is_stream_consumed:  # an inner transport may give it at once
                    body.add(response.content)
                else:
                    async for chunk in response.aiter_raw(_CHUNK_BYTES):
                        body.add(chunk)
                return body.response(response)
    except TimeoutError:
        raise late_response(request.url, request.timeout) from None
    except _FAILURES as error:
        cause = root_cause(error)
        raise translate(error, cause, url) from cause


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
        self._socket: socket.socket | None = None
        self._aborted = False

    def run(self) -> HttpResponse:
        """Return the whole response.

        Raises:
            ServerUnreachableError: As `send`; also if another thread aborted the exchange.
            InvalidPayloadError: As `send`.
        """
        threading.Thread(target=self._work, name="pyfly-config-exchange", daemon=True).start()
        try:
            self._done.wait(self._request.timeout)
        finally:
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
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _work(self) -> None:
        try:
            result: HttpResponse | BaseException = self._exchange()
        except _FAILURES as error:
            cause = root_cause(error)
            result = translate(error, cause, self._request.url)
            result.__cause__ = cause
        except BaseException as error:  # noqa: BLE001 - `run` raises it again
            result = error
        finally:
            if self._socket is not None:
                self._socket.close()
        if not self._aborted:
            self._result = result
        self._done.set()

    def _exchange(self) -> HttpResponse:
        request, inner = self._request, self._inner
        if inner is not None and not hasattr(inner, "handle_request"):
            import asyncio  # noqa: PLC0415 - only for an inner transport that needs it

            return asyncio.run(send(request, self._tls, inner))
        url = request.url
        used = (
            _Borrowed(inner)
            if inner is not None
            else httpx.HTTPTransport(verify=_verification(url, self._tls), trust_env=False)
        )
        client = httpx.Client(transport=used, trust_env=False, timeout=request.timeout)
        traced: Mapping[str, Callable[[str, dict[str, Any]], None]] = {"trace": self._trace}
        headers = _headers(request)
        with client, client.stream("GET", url, headers=headers, extensions=traced) as response:
            body = _Body(url)
            if response.is_stream_consumed:
                body.add(response.content)
            else:
                for chunk in response.iter_raw(_CHUNK_BYTES):
                    body.add(chunk)
            return body.response(response)

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Keep a duplicate of the socket as soon as it is connected; TLS takes over the first."""
        if event == "connection.connect_tcp.complete":
            self._socket = info["return_value"].get_extra_info("socket").dup()
            if self._aborted:
                self.abort()


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
