"""The seam to httpx: the only module that imports it, loaded with the first request."""

import contextlib
import math
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from pyfly.config_client._causes import root_cause, unreachable
from pyfly.config_client._loading.answer import Answer
from pyfly.config_client._loading.effects import Send
from pyfly.config_client._tls import make_context
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerUnreachableError,
)
from pyfly.config_core.limits import MAX_ANSWER_BYTES

# An alert of TLS that arrives late comes through httpx as it is, an OSError; so does the
# ValueError for a host name that cannot be looked up.
_FAILURES: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
    UnicodeError,
    ssl.CertificateError,
)
_CANNOT_BE_SENT: Final = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_PIECE: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How servers are recognised, and this client by them."""

    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None

    def context(self, url: str) -> ssl.SSLContext | bool:
        """Return what httpx wants to verify with.

        Raises:
            ServerUnreachableError: A file cannot be used; asking again does not help.
        """
        if not url.startswith("https:"):
            # A bare context costs nothing; all the authorities' certificates cost 100 ms.
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self == Tls():
            return True
        try:
            public = None if self.ca_file else httpx.create_ssl_context(trust_env=False)
            return make_context(self.ca_file, self.client_cert, self.client_key, public)
        except ValueError as error:
            raise ServerUnreachableError(f"{url}: {error}", permanent=True) from None


Transport = httpx.AsyncBaseTransport | httpx.BaseTransport


async def exchange(send: Send, tls: Tls, transport: Transport | None) -> Answer:
    """Send one GET and return the whole answer; never waits longer than told.

    The connection is opened and closed here. Redirects are not followed, proxies and other
    settings of the environment are not used.

    Raises:
        ServerUnreachableError: The server could not be reached, or the answer did not arrive
            whole in time.
        InvalidPayloadError: The body is larger than 8 MiB, or its encoding is broken.
    """
    import asyncio  # noqa: PLC0415 - the other shell does without

    url = send.request.url
    try:
        async with asyncio.timeout(send.timeout):
            used = (
                _Borrowed(transport)
                if transport
                else httpx.AsyncHTTPTransport(verify=tls.context(url), trust_env=False)
            )
            client = httpx.AsyncClient(transport=used, trust_env=False, timeout=send.timeout)
            async with client, client.stream("GET", url, headers=_headers(send)) as response:
                body = _Body(url)
                if response.is_stream_consumed:  # a transport for tests may give it at once
                    body.add(response.content)
                else:
                    async for chunk in response.aiter_raw(_PIECE):
                        body.add(chunk)
                return body.answer(response)
    except TimeoutError:
        raise too_late(send) from None
    except _FAILURES as error:
        cause = root_cause(error)
        raise translate(error, cause, url) from cause


def too_late(send: Send) -> ServerUnreachableError:
    """Return the error for an exchange that did not end in time."""
    seconds = math.ceil(10 * send.timeout) / 10  # a little of the timeout is spent already
    return ServerUnreachableError(f"{send.request.url}: no whole answer within {seconds:.2g} s")


def translate(error: Exception, cause: BaseException, url: str) -> ConfigClientError:
    """Return the error of this package for one of httpx.

    Args:
        error: What httpx raised. Its text is not shown.
        cause: As `root_cause` returns it.
        url: What was asked for, without credentials.
    """
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        return InvalidPayloadError(f"{url}: the answer cannot be decoded")
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
        reason = f"{host} did not answer in time"
    elif known is not None:
        return known
    else:
        reason = f"the exchange failed ({type(error).__name__})"
    return ServerUnreachableError(f"{url}: {reason}")


def _protocol_error(text: str, url: str, host: str) -> ServerUnreachableError:
    hint = "" if url.startswith("https:") else "; should the URL begin with https://?"
    if "illegal request line" in text:  # a control character comes first, as in an alert of TLS
        reason = f"{host} does not speak HTTP{hint}"
        return ServerUnreachableError(f"{url}: {reason}", permanent=True)
    if "without sending a response" in text:
        return ServerUnreachableError(f"{url}: {host} closed the connection unanswered{hint}")
    if "incomplete" in text or "without sending complete" in text:
        return ServerUnreachableError(f"{url}: the answer was cut off by {host}")
    return ServerUnreachableError(f"{url}: the answer of {host} is not HTTP")


def is_international_host(host: str) -> bool:
    """True if a name with other letters than ASCII can be the name of a host."""
    try:
        return bool(httpx.URL(scheme="http", host=host).raw_host)
    except (httpx.InvalidURL, ValueError):
        return False


def _headers(send: Send) -> dict[bytes, bytes]:
    """Return the headers as bytes, or httpx would refuse what is not ASCII in a token."""
    headers = send.request.headers | dict(send.headers)
    return {name.encode(): value.encode() for name, value in headers.items()}


class _Body:
    """Collects the body of an answer as long as it is not too large."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pieces = bytearray()

    def add(self, piece: bytes) -> None:
        """Take one more piece.

        Raises:
            InvalidPayloadError: That is too much.
        """
        self._pieces += piece
        if len(self._pieces) > MAX_ANSWER_BYTES:
            raise InvalidPayloadError(
                f"{self._url}: the answer is larger than {MAX_ANSWER_BYTES:,} bytes"
            )

    def answer(self, response: httpx.Response) -> Answer:
        """Return the whole answer."""
        return Answer(
            status=response.status_code, headers=dict(response.headers), body=bytes(self._pieces)
        )


class _Borrowed(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """A transport of somebody else's, which closing the client must not close."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await self._inner.handle_async_request(request)
        return response

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = self._inner.handle_request(request)
        return response


class BlockingExchange:
    """The same exchange without an event loop.

    Timeouts of sockets bound single reads, and looking up a name is not bounded at all. So a
    thread does it; whoever waits for it goes on at the deadline, and the socket is shut down
    under the thread, which ends it.
    """

    def __init__(self, send: Send, tls: Tls, transport: Transport | None) -> None:
        self._send = send
        self._tls = tls
        self._transport = transport
        self._done = threading.Event()
        self._result: Answer | BaseException | None = None
        self._socket: socket.socket | None = None
        self._aborted = False

    def run(self) -> Answer:
        """Return the whole answer.

        Raises:
            ServerUnreachableError: As `exchange`; also when another thread aborted it.
            InvalidPayloadError: As `exchange`.
        """
        threading.Thread(target=self._work, name="pyfly-config-exchange", daemon=True).start()
        try:
            self._done.wait(self._send.timeout)
        finally:
            self.abort()
        result = self._result
        if result is None:
            raise too_late(self._send)
        if isinstance(result, BaseException):
            raise result
        return result

    def abort(self) -> None:
        """End it now, from any thread."""
        self._aborted = True
        self._done.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _work(self) -> None:
        url = self._send.request.url
        try:
            result: Answer | BaseException = self._exchange(url)
        except _FAILURES as error:
            cause = root_cause(error)
            result = translate(error, cause, url)
            result.__cause__ = cause
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            result = error
        finally:
            if self._socket is not None:
                self._socket.close()
        if not self._aborted:
            self._result = result
        self._done.set()

    def _exchange(self, url: str) -> Answer:
        transport = self._transport
        if transport is not None and not isinstance(transport, httpx.BaseTransport):
            import asyncio  # noqa: PLC0415 - only for a transport that needs it

            return asyncio.run(exchange(self._send, self._tls, transport))
        used = (
            _Borrowed(transport)
            if transport
            else httpx.HTTPTransport(verify=self._tls.context(url), trust_env=False)
        )
        client = httpx.Client(transport=used, trust_env=False, timeout=self._send.timeout)
        watched: Mapping[str, Callable[[str, dict[str, Any]], None]] = {"trace": self._watch}
        with (
            client,
            client.stream("GET", url, headers=_headers(self._send), extensions=watched) as response,
        ):
            body = _Body(url)
            if response.is_stream_consumed:
                body.add(response.content)
            else:
                for chunk in response.iter_raw(_PIECE):
                    body.add(chunk)
            return body.answer(response)

    def _watch(self, event: str, info: dict[str, Any]) -> None:
        """Remember the socket as soon as there is one (httpx's extension `trace`).

        A duplicate of it: TLS takes the first one over.
        """
        if event == "connection.connect_tcp.complete":
            self._socket = info["return_value"].get_extra_info("socket").dup()
            if self._aborted:
                self.abort()
