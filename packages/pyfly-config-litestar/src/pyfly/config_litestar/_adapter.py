"""Between Litestar's ASGI messages and the controller's values."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from litestar.enums import ScopeType
from litestar.types import HTTPScope, Receive, Scope, Send

from pyfly.config_server import MAX_BODY_BYTES, HttpRequest, HttpResponse

_PIECE_BYTES: Final = 65_536
MAX_PENDING_BYTES: Final = 134_217_728
"""Bytes of large answers that one handler holds at a time, until their clients have taken them."""

_BUSY_BODY: Final = b'{"status":503,"error":"Service Unavailable"}'
_BUSY: Final = HttpResponse(
    status=503,
    headers=(
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_BUSY_BODY)).encode()),
        (b"retry-after", b"5"),
    ),
    body=_BUSY_BODY,
)


class Handles(Protocol):
    """Anything that answers a request value with a response value."""

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Return the answer."""
        ...


def make_handler(controller: Handles) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return a raw ASGI handler in front of a controller. It reads no body unless asked to.

    While clients are slow to take large answers of `MAX_PENDING_BYTES` together, a further large
    one is replaced by 503, so that they cannot fill the memory.
    """
    answer = controller.handle
    pending = 0

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await send({"type": "websocket.close", "code": 1000, "reason": "HTTP only"})
            return
        nonlocal pending
        response = await answer(request_of(scope, receive))
        size = len(response.body)
        if size <= _PIECE_BYTES:
            await _send(send, response)
        elif pending + size > MAX_PENDING_BYTES:
            await _send(send, _BUSY)
        else:
            pending += size
            try:
                await _send(send, response)
            finally:
                pending -= size

    return handle


def request_of(scope: HTTPScope, receive: Receive) -> HttpRequest:
    """Return the request of a scope as a value."""
    raw_path = scope["raw_path"]
    if root_path := scope["root_path"]:
        raw_path = raw_path.removeprefix(root_path.encode())
    return HttpRequest(
        method=scope["method"],
        raw_path=raw_path,
        query=scope["query_string"],
        headers=tuple(scope["headers"]),
        read_body=partial(_read_body, receive),
    )


async def _send(send: Send, response: HttpResponse) -> None:
    """Send an answer in pieces, so that each waits until the client has taken those before."""
    headers, body = response.headers, response.body
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    for start in range(0, len(body) - _PIECE_BYTES, _PIECE_BYTES):
        piece = body[start : start + _PIECE_BYTES]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    last = body[(len(body) - 1) // _PIECE_BYTES * _PIECE_BYTES :] if body else b""
    await send({"type": "http.response.body", "body": last, "more_body": False})


async def _read_body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= MAX_BODY_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError("the client went away")
        chunks.append(message["body"])
        size += len(chunks[-1])
        more = message["more_body"]
    return b"".join(chunks)
