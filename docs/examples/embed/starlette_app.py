"""A Starlette application with a configuration server at /config.

Run it with: CONFIG_TOKEN=a-long-random-token uvicorn starlette_app:app
"""

import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    FilesystemConfigBackend,
    SharedCredential,
)

# the mount adds /config, so the base path of the server is empty
server = ConfigServer(
    FilesystemConfigBackend(Path(__file__).parent.parent / "config"), base_path=""
)
configuration = ConfigServerApp(server, auth=SharedCredential.bearer(os.environ["CONFIG_TOKEN"]))


async def show_setup(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"the configuration of {request.url.hostname} is at /config")


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[None]:
    """Follow the store, and close it; Starlette does not pass its lifespan to what is mounted."""
    async with server, configuration:
        yield


app = Starlette(
    routes=[Route("/configuration", show_setup), Mount("/config", configuration)],
    lifespan=lifespan,
)
