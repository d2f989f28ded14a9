"""Runs `module:factory` as `pyfly-config serve` runs its application: python _asgi.py PORT NAME."""

import asyncio
import contextlib
import importlib
import signal
import sys
from collections.abc import Awaitable
from typing import Any

from litestar import Litestar

from pyfly.config_cli._serving.application import ReplaceableApp
from pyfly.config_cli._serving.http_server import BACKLOG, HttpServer, run_in_loop
from pyfly.config_cli._serving.limits import ConnectionLimits, connection_limit
from pyfly.config_cli._serving.listeners import bind, listen, resolve
from pyfly.config_cli._serving.setup import set_up_process


class Plain:
    """An ASGI application without a lifespan, in the place of one that has one."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        return self._app(scope, receive, send)

    def lifespan(self) -> contextlib.AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()


async def serve(port: int, app: Any) -> None:
    running = ReplaceableApp()
    untyped: Any = app if isinstance(app, Litestar) else Plain(app)
    await running.replace(untyped)
    listeners = bind("127.0.0.1", resolve("127.0.0.1", port))
    listen("127.0.0.1", listeners, backlog=BACKLOG)
    limits = ConnectionLimits(connections=connection_limit())
    server = HttpServer(running, listeners, limits=limits, ready=lambda: None)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.run()
    await running.aclose()


if __name__ == "__main__":
    set_up_process()
    module, _, factory = sys.argv[2].partition(":")
    run_in_loop(serve(int(sys.argv[1]), getattr(importlib.import_module(module), factory)()))
