"""The least that a server of held requests can do: the baseline of the benchmark `watch`.

One document of 1 kB for all paths. Who names its entity tag waits in a set; a `PUT` of the shared
bundle gives it another number and answers all who wait, as fast as the loop can.
"""

import asyncio
import re
from typing import Any

MARK = re.compile(rb"mark-\d+")
FILLING = b'"filling":"' + b"x" * 940 + b'"'


class Holding:
    """The application."""

    def __init__(self) -> None:
        self._body = b""
        self._etag = b""
        self._waiting: set[asyncio.Future[None]] = set()
        self.store(b"mark-000000")

    def store(self, number: bytes) -> None:
        """Change the document, and wake all who wait for it."""
        self._body = b'{"publish":"%b",%b}' % (number, FILLING)
        self._etag = b'"%b"' % number
        waiting, self._waiting = self._waiting, set()
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = b""
        if scope["method"] == "PUT":
            number = MARK.search((await receive())["body"])
            if number is not None:  # a bundle of another application
                self.store(number[0])
        else:
            headers = dict(scope["headers"])
            if headers.get(b"if-none-match") == self._etag and b"prefer" in headers:
                await self._wait(receive)
            body = self._body
        fields = [(b"etag", self._etag), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    async def _wait(self, receive: Any) -> None:
        """Wait for a change, or for the client to go."""
        await receive()
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone = asyncio.ensure_future(receive())
        self._waiting.add(changed)
        try:
            await asyncio.wait((changed, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            self._waiting.discard(changed)


def make_holding() -> Holding:
    """Return the application."""
    return Holding()
