"""One kept connection that makes one request after the other, and the publishes through it."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from _fleet import HOST, mark

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
FILLING = {f"filling{number:02}": "x" * 40 for number in range(15)}
"""Makes a bundle of 1 kB."""


class Connection(asyncio.Protocol):
    """A connection for requests that are answered at once."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._data = b""
        self._answer: asyncio.Future[bytes] | None = None

    async def ask(self, request: bytes) -> bytes:
        """Return the whole answer: head and body.

        Raises:
            ConnectionError: There is none.
        """
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close."""
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._data = self._data + data
        end = data.find(_END)
        if end < 0:
            return
        length = _LENGTH.search(data, 0, end + 2)
        bodiless = data[9:12] in {b"304", b"204"}
        if bodiless or length is None or len(data) >= end + len(_END) + int(length[1]):
            self._data = b""
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("no answer"))


async def connect(port: int) -> Connection:
    """Return a new connection."""
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(Connection, HOST, port))[1]


def put(application: str, properties: Mapping[str, object], headers: Mapping[str, str]) -> bytes:
    """Return a request that stores a bundle of the profile `prod`, whatever is stored."""
    body = json.dumps(properties).encode()
    fields = {
        "Host": HOST,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = [
        f"PUT /config/_bundles/{application}/prod/main HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    return "\r\n".join(lines).encode() + _END + body


async def publish(
    connection: Connection, number: int, headers: Mapping[str, str], *, new: bool = False
) -> None:
    """Store the shared bundle anew, so that every document has another number.

    Raises:
        RuntimeError: The server refuses.
    """
    condition = {"If-None-Match": "*"} if new else {"If-Match": "*"}
    request = put("application", {"publish": mark(number)}, {**headers, **condition})
    answer = await connection.ask(request)
    if answer[9:11] != b"20":
        raise RuntimeError(f"the server refuses to store: {answer[:400]!r}")
