"""How answers are sent: in pieces, and not too many large ones at a time."""

import asyncio
from typing import Any

import pytest

from pyfly.config_litestar._adapter import MAX_PENDING_BYTES, make_handler
from pyfly.config_server import HttpRequest, HttpResponse

pytestmark = pytest.mark.anyio

PIECE = 65_536
SCOPE: Any = {
    "type": "http",
    "method": "GET",
    "raw_path": b"/",
    "root_path": "",
    "query_string": b"",
    "headers": [],
}


class Ready:
    def __init__(self, body: bytes) -> None:
        self.response = HttpResponse(status=200, body=body)

    async def handle(self, request: HttpRequest) -> HttpResponse:
        return self.response


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 2 * PIECE, 5 * PIECE - 1])
async def test_an_answer_goes_out_in_pieces_of_64_kib(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await make_handler(Ready(body))(SCOPE, None, send)  # type: ignore[arg-type]
    pieces = sent[1:]
    assert b"".join(piece["body"] for piece in pieces) == body
    assert all(len(piece["body"]) == PIECE for piece in pieces[:-1])
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert len(pieces) == max(1, -(-size // PIECE))


async def test_slow_readers_of_large_answers_cannot_fill_the_memory() -> None:
    large = Ready(b"x" * (MAX_PENDING_BYTES // 4))
    handle: Any = make_handler(large)
    begun, taken = asyncio.Event(), asyncio.Event()
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
            if len(statuses) == 5:
                begun.set()
        elif len(message["body"]) == PIECE:
            await taken.wait()

    slow = [asyncio.create_task(handle(SCOPE, None, send)) for _ in range(5)]
    await begun.wait()
    assert sorted(statuses) == [200] * 4 + [503]
    large.response = HttpResponse(status=200, body=b"small")
    await handle(SCOPE, None, send)
    assert statuses[-1] == 200
    taken.set()
    await asyncio.gather(*slow)
    large.response = HttpResponse(status=200, body=b"x" * MAX_PENDING_BYTES)
    await handle(SCOPE, None, send)
    assert statuses[-1] == 200
