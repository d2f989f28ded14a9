"""A FastAPI application that lets its own API keys read configuration.

Run it with: uvicorn fastapi_app:app
"""

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from fastapi import FastAPI

from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    FilesystemConfigBackend,
    HttpError,
    HttpRequest,
    Principal,
    Rule,
)

API_KEYS = {  # yours are in a database
    f"key-of-{name}".encode(): Principal(
        name=name,
        rules=(
            Rule.parse(rights=["read"], on=f"{name}/*/*"),
            Rule.parse(rights=["files"], on="*/*/*", files=f"{name}/**"),
        ),
    )
    for name in ("orders", "billing")
}


class ApiKeys:
    """Finds the principal of a request by its API key. Each reads its own, nobody writes."""

    scheme = "bearer"

    async def authenticate(self, request: HttpRequest) -> Principal:
        key = (request.header(b"authorization") or b"").removeprefix(b"Bearer ")
        if key not in API_KEYS:
            challenge = (b"www-authenticate", b"Bearer")
            raise HttpError(401, "unauthorized", "send an API key", headers=(challenge,))
        return API_KEYS[key]


# the mount adds /config, so the base path of the server is empty
server = ConfigServer(
    FilesystemConfigBackend(Path(__file__).parent.parent / "config"), base_path=""
)
configuration = ConfigServerApp(server, auth=ApiKeys())


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Follow the store, and close it; FastAPI does not pass its lifespan to what is mounted."""
    async with server, configuration:
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/config", configuration)


@app.get("/configuration")
async def show_setup() -> dict[str, str]:
    return {"configuration": "/config"}
