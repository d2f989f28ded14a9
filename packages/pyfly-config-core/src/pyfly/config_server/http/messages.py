"""Requests and answers as plain values, between a framework's adapter and the controller."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names and values as on the wire; request names may be in any case."""

MAX_BODY_BYTES: Final = 1_048_576
"""A longer body is refused; an adapter need not read more than one byte beyond it."""


async def _no_body() -> bytes:
    return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, untouched: the path is still percent-encoded."""

    method: str
    """In upper case."""
    raw_path: bytes
    """The path as sent, without the query, without the prefix an outer application removed."""
    query: bytes = b""
    """The query as sent, without the question mark."""
    headers: Headers = field(default=(), repr=False)
    """All of them, repetitions included. Never logged."""
    read_body: Callable[[], Awaitable[bytes]] = field(default=_no_body, repr=False, compare=False)
    """Reads the body, once, where it is needed: whole, or cut somewhere behind `MAX_BODY_BYTES`.

    Raises `ConnectionError` when the client goes away before the end.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One answer, ready to be sent."""

    status: int
    """The HTTP status code."""
    headers: Headers = ()
    """Names in lower case; `content-length` is among them where the status allows it."""
    body: bytes = field(default=b"", repr=False)
    """Empty for `HEAD` and `304`."""


def header(request: HttpRequest, name: bytes) -> bytes | None:
    """Return the values of the header `name` (lower case), joined with commas (RFC 9110 §5.2)."""
    values = [value for key, value in request.headers if key.lower() == name]
    return b", ".join(values) if values else None
