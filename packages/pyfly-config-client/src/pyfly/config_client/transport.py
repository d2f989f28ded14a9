"""Transports: the interface that sends requests, and its implementation with httpx.

Pass a `Transport` to a client to send its requests in another way: through a proxy, to an
application in the same process, or to a fake. Without one, `ClientConfig.make_transport` returns
an `HttpxTransport`.
"""

from typing import TYPE_CHECKING

from pyfly.config_client._requests import (
    Exchange,
    HttpRequest,
    HttpResponse,
    TlsFiles,
    Transport,
)

if TYPE_CHECKING:
    from httpx import AsyncBaseTransport, BaseTransport

__all__ = ["Exchange", "HttpRequest", "HttpResponse", "HttpxTransport", "TlsFiles", "Transport"]


class HttpxTransport:
    """Sends requests with httpx, over connections that stay open for the next ones for 20 seconds.

    Redirects are not followed. Proxies and other settings of the environment are not used.

    Args:
        inner: An httpx transport to use instead of the network, such as
            `httpx.ASGITransport(app)`. It is not closed here.
        tls: The files for `https` addresses; not used with an `inner` transport.

    Raises:
        TypeError: `inner` is not a transport of httpx.
    """

    in_memory = False

    def __init__(
        self,
        inner: "AsyncBaseTransport | BaseTransport | None" = None,
        *,
        tls: TlsFiles | None = None,
    ) -> None:
        known = hasattr(inner, "handle_request") or hasattr(inner, "handle_async_request")
        if inner is not None and (isinstance(inner, type) or not known):
            raise TypeError(
                f"{type(inner).__name__} is not a transport of httpx; for an application write "
                "HttpxTransport(httpx.ASGITransport(app))"
            )
        self._inner = inner
        self._tls = tls or TlsFiles()

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request and return the whole response; see `Transport.send`."""
        from pyfly.config_client import _httpx  # noqa: PLC0415 - httpx takes 150 ms to import

        return await _httpx.send(request, self._tls, self._inner)

    def start(self, request: HttpRequest) -> Exchange:
        """Return an exchange for a request; see `Transport.start`."""
        from pyfly.config_client import _httpx  # noqa: PLC0415 - httpx takes 150 ms to import

        return _httpx.BlockingExchange(request, self._tls, self._inner)
