"""HTTP requests and responses as plain values, between an adapter and the controller."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pyfly.config_server.composition.needed_rights import AnswerNeeds
from pyfly.config_server.http.request_notes import RequestNotes
from pyfly.config_server.live import Entry

__all__ = ["MAX_BODY_BYTES", "Headers", "HttpRequest", "HttpResponse", "Reusable"]

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names and values as sent. Names in requests may be in any case."""

MAX_BODY_BYTES: Final = 1_048_576
"""Longer bodies are refused. An adapter may stop reading one byte later."""


async def _no_body() -> bytes:
    return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request as it was sent: the path is still percent-encoded."""

    method: str
    """In upper case."""
    raw_path: bytes
    """The path without the query and without `root_path`."""
    root_path: bytes = b""
    """The prefix under which an outer application or a proxy mounts the server; usually empty."""
    query: bytes = field(default=b"", repr=False)
    """The query as sent, without the question mark."""
    headers: Headers = field(default=(), repr=False)
    """All headers, including repetitions. Never logged."""
    read_body: Callable[[], Awaitable[bytes]] = field(default=_no_body, repr=False, compare=False)
    """Reads the body, at most once: complete, or cut somewhere after `MAX_BODY_BYTES`.

    Raises `ConnectionError` if the client disconnects before the end.
    """
    disconnected: Callable[[], Coroutine[Any, Any, None]] | None = field(
        default=None, repr=False, compare=False
    )
    """Returns after the client has disconnected, or after the response. Discards a body that was
    not read.

    It must not run while `read_body` runs. It is not cancelled, because some ASGI servers then
    lose the request. `None` for adapters that do not notice the end of a connection.
    """

    user: object = field(default=None, repr=False, compare=False)
    """The `user` of the ASGI scope: what the authentication of the framework around the server has
    found; `None` without one."""
    client: str | None = None
    """The address of the client, as the adapter or a trusted proxy knows it; `None` if they do
    not."""
    identity: str | None = None
    """How a trusted proxy names the client; `None` if it does not. See `ProxyPolicy`."""
    was_held: bool = False
    """True for a request that has waited already: it is answered now."""
    notes: RequestNotes | None = field(default=None, repr=False, compare=False)
    """What an adapter wants to know about the request; `None` if it does not ask."""

    def header(self, name: bytes) -> bytes | None:
        """Return the values of a header, joined with commas (RFC 9110 §5.2), or `None`.

        Args:
            name: In lower case.
        """
        values = [value for key, value in self.headers if key.lower() == name]
        return b", ".join(values) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reusable:
    """An answer of the live layer, and who may have it."""

    entry: Entry
    needed: AnswerNeeds
    """The rights that a principal needs."""
    route: str
    """The id of the endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One response, ready to be sent."""

    status: int
    """The HTTP status code."""
    headers: Headers = ()
    """Names in lower case, with `content-length` if the status allows it."""
    body: bytes = field(default=b"", repr=False)
    """Empty for `HEAD` and 304."""
    reusable: Reusable | None = field(default=None, repr=False, compare=False)
    """How the same request may be answered again, while the answer is current; see `HotPath`."""
