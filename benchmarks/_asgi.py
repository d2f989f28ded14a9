"""Runs `module:factory` as `pyfly-config serve` runs its application: python _asgi.py PORT NAME."""

import asyncio
import importlib
import signal
import sys
from typing import Any

from pyfly.config_cli._serving.http_server import BACKLOG, HttpServer, run_in_loop
from pyfly.config_cli._serving.limits import ConnectionLimits
from pyfly.config_cli._serving.listeners import bind, listen, resolve


async def serve(port: int, app: Any) -> None:
    listeners = bind("127.0.0.1", resolve("127.0.0.1", port))
    listen("127.0.0.1", listeners, backlog=BACKLOG)
    server = HttpServer(app, listeners, limits=ConnectionLimits(), ready=lambda: None)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.run()


if __name__ == "__main__":
    module, _, factory = sys.argv[2].partition(":")
    run_in_loop(serve(int(sys.argv[1]), getattr(importlib.import_module(module), factory)()))
