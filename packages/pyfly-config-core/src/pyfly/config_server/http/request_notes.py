"""What is noted about a request for logs: its id, and who sent it."""

import contextlib
import os
import re
from collections.abc import Generator, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

__all__ = [
    "REQUEST_ID_HEADER",
    "REQUEST_NOTES",
    "RequestNotes",
    "current_request_id",
    "identified_request",
]

REQUEST_ID_HEADER: Final = b"x-request-id"

REQUEST_NOTES: Final = "pyfly.request_notes"
"""An extension of ASGI that a server may offer: `RequestNotes`, which the application completes."""

_REQUEST_ID: Final[ContextVar[str]] = ContextVar("pyfly_request_id", default="")
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._~:/+=-]{1,128}")


@dataclass(slots=True, kw_only=True)
class RequestNotes:
    """Notes about one request, for the log of a server."""

    principal: str | None = None
    """The name of the principal; `None` if it is anonymous or was refused."""
    client: str | None = None
    """The address of the client that a trusted proxy named; `None` if none did."""


def current_request_id() -> str:
    """Return the id of the request that this task answers, for log lines; empty outside of one."""
    return _REQUEST_ID.get()


@contextlib.contextmanager
def identified_request(headers: Iterable[tuple[bytes, bytes]]) -> Generator[str]:
    """Yield the id of a request, which this task has until the end of the block.

    An outer block decides. Else it is the value of `X-Request-Id`, if that is well-formed (1 to
    128 ASCII letters, digits and `._~:/+=-`) and the only one, else a new one.
    """
    if outer := _REQUEST_ID.get():
        yield outer
        return
    token = _REQUEST_ID.set(_given_id(headers) or os.urandom(8).hex())
    try:
        yield _REQUEST_ID.get()
    finally:
        _REQUEST_ID.reset(token)


def _given_id(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    given = [value for name, value in headers if name.lower() == REQUEST_ID_HEADER]
    is_usable = len(given) == 1 and _WELL_FORMED.fullmatch(given[0])
    return given[0].decode("ascii") if is_usable else None
