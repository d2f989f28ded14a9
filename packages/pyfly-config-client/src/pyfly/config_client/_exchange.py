"""Requests and responses as values, and the interface of what sends them. Imports no library.

`pyfly.config_client.transport` is the public module of these names.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from pyfly.config_client.errors import InvalidPayloadError
from pyfly.config_core.limits import MAX_ANSWER_BYTES


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
    """A whole response, as it arrived.

    Raises:
        TypeError: The status is not a number, or the body is not bytes.
    """

    status: int
    headers: Mapping[str, str]
    """Names are given in any case, and kept in lower case."""
    body: bytes

    def __post_init__(self) -> None:
        status, body = cast("object", self.status), cast("object", self.body)
        if not isinstance(status, int) or not isinstance(body, bytes):
            raise TypeError("a response needs a status that is a number, and a body of bytes")
        lower = {name.lower(): value for name, value in self.headers.items()}
        object.__setattr__(self, "headers", lower)


class Body:
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

    def response(self, status: int, headers: Mapping[str, str]) -> HttpResponse:
        """Return the whole response."""
        return HttpResponse(status=status, headers=headers, body=bytes(self._content))


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
    followed: a credential would go to another server. An `OSError` that it raises counts as a
    `ServerUnreachableError`; the client does not catch other errors.
    """

    @property
    def in_memory(self) -> bool:
        """True if responses come from this process.

        Then the client does not wait between attempts, makes one attempt unless `attempts` is
        given, and keeps no snapshot unless `snapshot_dir` is given.
        """
        ...

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request and return the whole response. `ConfigClient` cancels it at the timeout.

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
