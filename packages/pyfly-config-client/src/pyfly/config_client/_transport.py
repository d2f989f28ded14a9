"""The seam to httpx: the only module that imports it, loaded with the first request."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx

from pyfly.config_client._answer import Answer
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerUnreachableError,
)

MAX_BODY_BYTES: Final = 8 * 1024 * 1024


async def get(
    url: str,
    headers: dict[str, str],
    *,
    timeout: float,  # noqa: ASYNC109 - it bounds the whole exchange, below
    transport: httpx.AsyncBaseTransport | None,
) -> Answer:
    """Send one GET and return the whole answer.

    The connection is opened and closed here. Redirects are not followed, proxies and other
    settings of the environment are not used.

    Raises:
        ServerUnreachableError: The server could not be reached, or the answer did not arrive
            whole within `timeout` seconds.
        InvalidPayloadError: The body is larger than 8 MiB, or its encoding is broken.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _get(url, headers, transport)
    except TimeoutError as error:
        raise ServerUnreachableError(f"{url}: no whole answer within {timeout:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise translate(error, url) from error


def translate(error: Exception, url: str) -> ConfigClientError:
    """Return our error for one of httpx's; the text of httpx's own is left to `__cause__`."""
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        return InvalidPayloadError(f"{url}: the answer cannot be decoded")
    if isinstance(error, httpx.ConnectError):
        return ServerUnreachableError(f"{url}: cannot connect; is the server running there?")
    return ServerUnreachableError(f"{url}: the exchange failed ({type(error).__name__})")


async def _get(
    url: str, headers: dict[str, str], transport: httpx.AsyncBaseTransport | None
) -> Answer:
    # A bare context costs nothing; the certificates of all authorities cost 100 ms to load.
    verify = True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    own = transport or httpx.AsyncHTTPTransport(verify=verify, trust_env=False)
    client = httpx.AsyncClient(
        transport=_Borrowed(own) if transport else own,
        trust_env=False,
        timeout=None,  # noqa: S113 - the caller bounds the whole exchange
    )
    async with client, client.stream("GET", url, headers=headers) as response:
        if response.is_stream_consumed:  # a transport for tests may give the body at once
            return Answer(
                status=response.status_code, headers=dict(response.headers), body=response.content
            )
        body = b""
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise InvalidPayloadError(
                    f"{url}: the answer is larger than {MAX_BODY_BYTES:,} bytes"
                )
        return Answer(status=response.status_code, headers=dict(response.headers), body=body)


class _Borrowed(httpx.AsyncBaseTransport):
    """A transport of somebody else's, which closing the client must not close."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)


def run(exchange: Callable[[], Awaitable[Answer]]) -> Answer:
    """Wait for an exchange from code that has no event loop of its own.

    An event loop bounds the whole exchange, which timeouts of single reads cannot.
    """

    async def wait() -> Answer:
        return await exchange()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, wait()).result()
