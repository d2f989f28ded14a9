"""Transports: the interface that sends requests, and its implementation with httpx.

Pass a `Transport` to a client to send its requests in another way: through a proxy, to an
application in the same process, or to a fake. Without one, `ClientConfig.make_transport` returns
an `HttpxTransport`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from httpx import AsyncBaseTransport, BaseTransport

__all__ = ["Exchange", "HttpRequest", "HttpResponse", "HttpxTransport", "TlsFiles", "Transport"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class HttpRequest:
    """A GET request, ready to be sent. Has no `repr`, because its headers may hold a credential."""

    url: str
    """Without credentials."""
    headers: Mapping[str, str]
    """All headers to send."""
    timeout: float
    """Seconds for the whole exchange, to the last byte of the response."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class HttpResponse:
    """A whole response, as it arrived."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Exchange(Protocol):
    """A request that is being sent, and its response, for code without an event loop."""

    def run(self) -> HttpResponse:
        """Wait for the response and return it.

        Raises:
            ServerUnreachableError: There was no whole response in time, or `abort` was called.
            InvalidPayloadError: The response is too large, or its encoding is broken.
        """
        ...

    def abort(self) -> None:
        """End the exchange now. May be called from any thread, also before `run`."""
        ...


class Transport(Protocol):
    """Sends requests. `ConfigClient` calls `send`, `SyncConfigClient` calls `start`.

    May be called from several threads and event loops at the same time. Redirects must not be
    followed: a credential would go to another server.
    """

    @property
    def in_memory(self) -> bool:
        """True if responses come from this process.

        Then the client does not wait between attempts, makes one attempt unless `attempts` is
        given, and keeps no snapshot unless `snapshot_dir` is given.
        """
        ...

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request and return the whole response.

        Raises:
            ServerUnreachableError: There was no whole response in time.
            InvalidPayloadError: The response is too large, or its encoding is broken.
        """
        ...

    def start(self, request: HttpRequest) -> Exchange:
        """Return an exchange that sends a request when it is run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class TlsFiles:
    """The files that TLS needs. Every one is optional."""

    ca_file: str | os.PathLike[str] | None = None
    """Certificates of the authorities that may sign the server's certificate."""
    client_cert: str | os.PathLike[str] | None = None
    """The certificate of the client."""
    client_key: str | os.PathLike[str] | None = None
    """The key of the client's certificate, if that is another file."""

    @property
    def given(self) -> bool:
        """True if there is at least one file."""
        return (self.ca_file, self.client_cert, self.client_key) != (None, None, None)


class HttpxTransport:
    """Sends requests with httpx. Opens a connection for each request, and closes it.

    Redirects are not followed. Proxies and other settings of the environment are not used.

    Args:
        inner: An httpx transport to use instead of the network, such as
            `httpx.ASGITransport(app)`. It is not closed here.
        tls: The files for `https` addresses; not used with an `inner` transport.
    """

    in_memory = False

    def __init__(
        self,
        inner: "AsyncBaseTransport | BaseTransport | None" = None,
        *,
        tls: TlsFiles | None = None,
    ) -> None:
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
