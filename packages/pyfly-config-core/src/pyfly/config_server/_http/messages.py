"""Requests and answers as plain values, between a framework's adapter and the controller."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names and values as on the wire; request names may be in any case."""


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
