"""The application of one process, which a reload replaces while requests run."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import cast

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from pyfly.config_cli._serving.access_log import with_access_log
from pyfly.config_cli._serving.direct import DirectAnswers
from pyfly.config_cli._serving.limits import RELOAD_SECONDS
from pyfly.config_cli._serving.transport import Headers
from pyfly.config_litestar import ReadyApp


class ReplaceableApp:
    """An ASGI application that passes requests to the newest application.

    After `close_connections`, every answer ends its connection.

    Args:
        headers: Headers of every response of this server, for those that are sent directly.
    """

    def __init__(self, headers: Headers = ()) -> None:
        self._headers = headers
        self._current: _Running | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request with the application that is current at its start."""
        running = self._current
        assert running is not None  # noqa: S101 - nothing is served before
        running.requests += 1
        try:
            await running.dispatch(scope, receive, _ending(send) if self._closing else send)
        finally:
            running.requests -= 1
            if not running.requests:
                running.idle.set()

    def direct(self) -> DirectAnswers | None:
        """Return the direct answers of the current application; `None` if there must be none."""
        return None if self._closing or self._current is None else self._current.direct

    async def replace(self, app: ReadyApp, *, logs: bool = False) -> None:
        """Start an application for new requests; the previous one ends after its last request.

        Args:
            app: The application.
            logs: Write an access log. Nothing is answered directly then.

        Raises:
            Exception: The start of the application failed. The previous one stays in use.
        """
        running = _Running(
            app=app,
            dispatch=with_access_log(app.dispatch) if logs else app.dispatch,
            direct=None if logs else DirectAnswers(app.front, self._headers),
            idle=asyncio.Event(),
            retired=asyncio.Event(),
        )
        await running.start()
        before, self._current = self._current, running
        if before is not None:
            before.app.release()
            before.retired.set()
            self._leaving.add(before.task)
            before.task.add_done_callback(self._leaving.discard)

    def close_connections(self) -> None:
        """End each connection with its next answer, and answer held requests now."""
        self._closing = True
        if self._current is not None:
            self._current.app.release(ends_connections=True)

    async def aclose(self) -> None:
        """Shut down the current application and those that still have requests."""
        if self._current is not None:
            self._current.retired.set()
            self._leaving.add(self._current.task)
        await asyncio.gather(*self._leaving, return_exceptions=True)


@dataclass(eq=False, kw_only=True)
class _Running:
    """A started application, and the number of its running requests."""

    app: ReadyApp
    dispatch: ASGIApp
    direct: DirectAnswers | None
    idle: asyncio.Event
    retired: asyncio.Event
    requests: int = 0

    async def start(self) -> None:
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._live(started))
        await asyncio.wait([self.task, started], return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            await self.task  # raises the error of the start

    async def _live(self, started: asyncio.Future[None]) -> None:
        async with self.app.lifespan():  # entered and left in one task, as some libraries need
            started.set_result(None)
            await self.retired.wait()
            if self.requests:
                self.idle.clear()
                with contextlib.suppress(TimeoutError):  # such a request loses its stores
                    async with asyncio.timeout(RELOAD_SECONDS):
                        await self.idle.wait()


def _ending(send: Send) -> Send:
    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"connection", b"close")]
            message = cast("Message", {**message, "headers": headers})
        await send(message)

    return send_closing
