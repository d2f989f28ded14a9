"""The ASGI server uvicorn with the sockets, the limits and the stop of this command."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from typing import Any, Final

import uvicorn
from litestar.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pyfly.config_cli._serving.certificates import ServerCertificate
from pyfly.config_cli._serving.connections import BoundedConnection, Connections
from pyfly.config_cli._serving.direct import DirectAnswers
from pyfly.config_cli._serving.handshakes import SecureAcceptor
from pyfly.config_cli._serving.limits import STOP_SECONDS, ConnectionLimits
from pyfly.config_cli._serving.memory import set_objects_aside
from pyfly.config_cli._serving.transport import Headers
from pyfly.config_server import AT_END

_LOG: Final = logging.getLogger("uvicorn.error")

BACKLOG: Final = 4096
"""Connections that the system keeps until they are accepted."""
_NEVER_SECONDS: Final = 1_000_000_000
_CONNECTION: Final = "pyfly_config_connection"
"""The key in the state of a scope, of its connection."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals to the command."""
        yield


class HttpServer:
    """Serves an ASGI application on listening sockets in the running event loop.

    Args:
        app: What answers. Its lifespan is the caller's.
        listeners: Bound sockets. They are closed at the end.
        limits: Of its connections.
        ready: Called once, as soon as requests are answered.
        direct: Returns what answers requests from their bytes, if they can be; asked for each
            request. The default answers none.
        certificate: Makes the connections secure; `None` for plain HTTP.
        headers: Headers of every response.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each part
        self,
        app: ASGIApp,
        listeners: Sequence[socket.socket],
        *,
        limits: ConnectionLimits,
        ready: Callable[[], None],
        direct: Callable[[], DirectAnswers | None] = lambda: None,
        certificate: ServerCertificate | None = None,
        headers: Headers = (),
    ) -> None:
        self._listeners = list(listeners)
        self._connections = Connections(limits, direct)
        self._ready = ready
        self._started = asyncio.Event()
        self._stop = asyncio.Event()
        self._drain_seconds = 0.0
        self._grace_seconds = STOP_SECONDS
        bounded = _bounded(self._connections)
        self._server = _Server(
            uvicorn.Config(
                _with_connections(app),
                http=bounded,
                headers=[(name.decode(), value.decode()) for name, value in headers],
                ws="none",
                lifespan="off",
                interface="asgi3",
                workers=1,
                backlog=BACKLOG,
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_NEVER_SECONDS,  # `Connections` closes idle ones
                reset_contextvars=True,  # pipelined requests would have the id of the first one
                callback_notify=self._notify,
            )
        )
        self._certificate = certificate
        self._accepting: list[asyncio.Task[None]] = []
        self._acceptor = None
        if certificate is not None:
            options = {"config": self._server.config, "server_state": self._server.server_state}
            self._acceptor = SecureAcceptor(
                certificate, self._connections, partial(bounded, **options)
            )
        _LOG.setLevel(logging.ERROR)  # below it are lines that clients can cause

    async def run(self) -> None:
        """Serve until `stop`; return when the last connection is closed."""
        helpers = [
            asyncio.create_task(self._connections.watch()),
            asyncio.create_task(self._end()),
        ]
        if self._certificate is not None:
            helpers.append(asyncio.create_task(self._certificate.watch()))
        try:
            await self._server.serve(sockets=[] if self._acceptor else self._listeners)
        finally:
            for helper in [*helpers, *self._accepting]:
                helper.cancel()
            if self._acceptor is not None:
                self._acceptor.abort()
            self._connections.abort()

    def stop(self, *, drain_seconds: float = 0.0, grace_seconds: float = STOP_SECONDS) -> None:
        """Accept no more connections, finish the running requests, and end.

        Args:
            drain_seconds: Connections without a request are closed after this time.
            grace_seconds: Those with one are closed after this further time.
        """
        self._drain_seconds, self._grace_seconds = drain_seconds, grace_seconds
        self._stop.set()

    async def _notify(self) -> None:
        if self._started.is_set():
            return
        self._started.set()
        if self._acceptor is not None:
            self._accepting = [
                asyncio.create_task(self._acceptor.accept(one)) for one in self._listeners
            ]
        self._ready()

    async def _end(self) -> None:
        await self._started.wait()
        await self._stop.wait()
        await self._stop_accepting()
        await asyncio.sleep(self._drain_seconds)
        self._server.should_exit = True
        await asyncio.sleep(self._grace_seconds)
        self._connections.abort()
        await asyncio.sleep(STOP_SECONDS / 2)
        _LOG.setLevel(logging.CRITICAL)  # requests that still run are cancelled, which it logs
        self._server.force_exit = True

    async def _stop_accepting(self) -> None:
        for server in self._server.servers:
            server.close()
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        if self._acceptor is not None:  # nobody else closes them
            for listener in self._listeners:
                listener.close()


def _with_connections(app: ASGIApp) -> ASGIApp:
    """Return an application whose requests know their connections, and tell them their ends."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        state: Any = scope["state"]
        connection: BoundedConnection = state.pop(_CONNECTION)
        untyped: Any = scope  # its type knows the extensions of ASGI only
        untyped["extensions"] = {AT_END: connection.at_end}
        try:
            await app(scope, receive, send)
        finally:
            connection.note_answer()

    return answer


def _bounded(connections: Connections) -> type[asyncio.Protocol]:
    """Return the protocol class of a server, with the signature that uvicorn expects."""

    class Bounded(BoundedConnection):
        def __init__(self, **options: Any) -> None:
            def make_protocol(connection: BoundedConnection) -> asyncio.Protocol:
                own: dict[str, Any] = {**options, "app_state": {_CONNECTION: connection}}
                return HttpToolsProtocol(**own)

            super().__init__(connections, make_protocol)

    return Bounded


def run_in_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run the coroutine of a process to its end, in the fastest event loop that is installed."""
    config = uvicorn.Config("", log_config=None)

    async def run() -> None:
        setting_aside = asyncio.create_task(set_objects_aside())
        try:
            await main
        finally:
            setting_aside.cancel()

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())
