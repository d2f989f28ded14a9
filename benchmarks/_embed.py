"""Runs `module:factory` on granian's embedded server: python _embed.py PORT NAME."""

import asyncio
import importlib
import signal
import sys
from typing import Any

HEADER_SECONDS = 10
HEADER_BYTES = 65_536


async def serve(port: int, app: Any) -> None:
    http: Any = importlib.import_module("granian.http")  # not installed here
    embed: Any = importlib.import_module("granian.server.embed")
    constants: Any = importlib.import_module("granian.constants")
    server = embed.Server(
        app,
        address="127.0.0.1",
        port=port,
        interface=constants.Interfaces.ASGI,
        http=constants.HTTPModes.http1,
        http1_settings=http.HTTP1Settings(
            header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=HEADER_BYTES
        ),
        websockets=False,
        log_enabled=False,
        backlog=4096,
        backpressure=20_000,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


if __name__ == "__main__":
    uvloop: Any = importlib.import_module("uvloop")
    module, _, factory = sys.argv[2].partition(":")
    uvloop.run(serve(int(sys.argv[1]), getattr(importlib.import_module(module), factory)()))
