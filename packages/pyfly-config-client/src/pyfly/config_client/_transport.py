"""The seam to httpx: the only module that imports it, loaded with the first request."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from pyfly.config_client._loading.answer import Answer
from pyfly.config_client._loading.effects import Send
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerUnreachableError,
)

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
# An alert of TLS that arrives late comes through httpx as it is: an OSError.
_FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)
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
            ServerUnreachableError: A file cannot be used.
        """
        if not url.startswith("https:"):
            # A bare context costs nothing; all the authorities' certificates cost 100 ms.
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self == Tls():
            return True
        try:
            if self.ca_file:
                context = ssl.create_default_context(cafile=self.ca_file)
            else:
                context = httpx.create_ssl_context(trust_env=False)
            if self.client_cert:
                context.load_cert_chain(self.client_cert, self.client_key)
        except OSError as error:  # ssl.SSLError is one
            raise ServerUnreachableError(
                f"{url}: the files for TLS cannot be used: {error.strerror or error.args[0]}"
            ) from error
        return context


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
    except TimeoutError as error:
        raise too_late(send) from error
    except _FAILURES as error:
        raise translate(error, url) from error


def too_late(send: Send) -> ServerUnreachableError:
    """Return the error for an exchange that did not end in time."""
    return ServerUnreachableError(
        f"{send.request.url}: no whole answer within {send.timeout:.2g} s"
    )


def translate(error: Exception, url: str) -> ConfigClientError:
    """Return our error for one of httpx's; the text of httpx's own is left to `__cause__`."""
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        return InvalidPayloadError(f"{url}: the answer cannot be decoded")
    if isinstance(error, httpx.ConnectError):
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return ServerUnreachableError(f"{url}: its certificate is not trusted: {_why(error)}")
        return ServerUnreachableError(f"{url}: cannot connect; is the server running there?")
    return ServerUnreachableError(f"{url}: the exchange failed ({type(error).__name__})")


def _why(error: Exception) -> str:
    """Return the reason in the text of an error of OpenSSL's, which names no secret."""
    return str(error).partition("verify failed: ")[2].partition(" (_ssl")[0] or "see the cause"


def _headers(send: Send) -> dict[str, str]:
    return send.request.headers | dict(send.headers)


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
        if len(self._pieces) > MAX_BODY_BYTES:
            raise InvalidPayloadError(
                f"{self._url}: the answer is larger than {MAX_BODY_BYTES:,} bytes"
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
            result = translate(error, url)
            result.__cause__ = error
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
