"""Runs `module:factory` as `pyfly-config serve` runs its application: python _asgi.py PORT NAME."""

import asyncio
import contextlib
import importlib
import signal
import sys
from typing import Any

from litestar import Litestar

from pyfly.config_cli._serving.application import ReplaceableApp
from pyfly.config_cli._serving.http_server import BACKLOG, HttpServer, run_in_loop
from pyfly.config_cli._serving.limits import ConnectionLimits, connection_limit
from pyfly.config_cli._serving.listeners import bind, listen, resolve
from pyfly.config_cli._serving.setup import set_up_process
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_litestar import ReadyApp


class Plain:
    """Any ASGI application in the place of the ready-made one."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.dispatch = app
        self.front = self

    def recognize(self, scope: object) -> None:
        """Know no request: each is answered by the application."""

    def lifespan(self) -> contextlib.AbstractAsyncContextManager[None]:
        app = self._app
        return app.lifespan() if isinstance(app, Litestar) else contextlib.nullcontext()

    def release(self) -> None:
        """Nothing is held that could be answered."""


async def serve(port: int, app: Any) -> None:
    running = ReplaceableApp()
    untyped: Any = app if isinstance(app, ReadyApp) else Plain(app)
    await running.replace(untyped)
    listeners = bind("127.0.0.1", resolve("127.0.0.1", port))
    listen("127.0.0.1", listeners, backlog=BACKLOG)
    limits = ConnectionLimits(connections=connection_limit())
    server = HttpServer(
        running, listeners, limits=limits, ready=lambda: None, direct=running.direct
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.run()
    await running.aclose()


if __name__ == "__main__":
    set_up_process(ServerSettings())
    module, _, factory = sys.argv[2].partition(":")
    run_in_loop(serve(int(sys.argv[1]), getattr(importlib.import_module(module), factory)()))
