"""The application that is replaced while requests run."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from litestar import Litestar
from litestar.handlers import asgi

from pyfly.config_cli._serving import application
from pyfly.config_cli._serving.application import ReplaceableApp
from pyfly.config_litestar import ReadyApp
from pyfly.config_server import ConfigServer, ConfigServerApp, InMemoryConfigBackend

pytestmark = pytest.mark.anyio


@pytest.mark.slow
async def test_a_request_that_outlasts_a_reload_ends_its_application_without_a_complaint(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(application, "RELOAD_SECONDS", 0.05)
    begun, ended = asyncio.Event(), asyncio.Event()

    @asgi("/", copy_scope=True)
    async def hold(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        yield
        ended.set()

    app = ReplaceableApp()
    front = ConfigServerApp(ConfigServer(InMemoryConfigBackend()), auth=None)
    await app.replace(ReadyApp(front, Litestar([hold], lifespan=[lifespan])))
    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "headers": []}
    request = asyncio.create_task(
        app(
            cast("Any", scope | {"query_string": b"", "root_path": ""}),
            cast("Any", None),
            cast("Any", None),
        )
    )
    await begun.wait()
    await app.replace(ReadyApp(front, Litestar([])))
    await asyncio.wait_for(ended.wait(), 30)
    request.cancel()
    await asyncio.wait([request])
    await app.aclose()
    await asyncio.sleep(0)
    gc.collect()
    assert caplog.text == ""
