"""An application has its configuration while it lives."""

import asyncio
from typing import Any

import pytest
from watched_documents import PATIENCE, document

from pyfly.config_client import Change, ConfigClient, ConfigClientError, config_lifespan
from pyfly.config_client.transport import HttpRequest, HttpResponse, HttpxTransport

pytestmark = pytest.mark.anyio


class App:
    """What ASGI frameworks have in common."""

    def __init__(self) -> None:
        self.state = type("State", (), {})()


async def test_an_application_has_its_configuration_while_it_lives(
    server: Any, arguments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.turns = [server.json(document(a=number)) for number in (1, 2, 3)]
    server.answer_json(document(a=4))
    app: Any = App()
    seen: list[Any] = []
    done = asyncio.Event()

    async def on_change(change: Change) -> None:
        seen.append(change.properties["a"])
        if len(seen) == 3:
            done.set()
        if len(seen) == 1:
            raise RuntimeError("marker-value")

    tasks = asyncio.all_tasks()
    lifespan = config_lifespan(ConfigClient(**arguments), on_change=on_change, interval=0.02)
    async with lifespan(app):
        assert app.state.config == {"a": 1}
        await asyncio.wait_for(done.wait(), PATIENCE)
        assert app.state.config == {"a": 4}
    assert seen == [2, 3, 4]
    assert "on_change raised RuntimeError" in caplog.text
    assert "marker-value" not in caplog.text
    assert asyncio.all_tasks() == tasks


async def test_an_application_watches_on_after_a_callback_was_cancelled(
    server: Any, arguments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback that awaits another task raises `CancelledError` if that task is cancelled."""
    server.turns = [server.json(document(a=number)) for number in (1, 2)]
    server.answer_json(document(a=3))
    app: Any = App()
    done = asyncio.Event()

    async def on_change(change: Change) -> None:
        if change.properties["a"] == 3:
            done.set()
        raise asyncio.CancelledError

    lifespan = config_lifespan(ConfigClient(**arguments), on_change=on_change, interval=0.02)
    async with lifespan(app):
        await asyncio.wait_for(done.wait(), PATIENCE)
    assert app.state.config == {"a": 3}
    assert "on_change raised CancelledError" in caplog.text


async def test_an_application_logs_that_watching_ended(
    server: Any, arguments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer_json(document(a=1))
    ended = asyncio.Event()

    class FailingTransport(HttpxTransport):
        async def send(self, request: HttpRequest) -> HttpResponse:
            if len(server.requests) > 0:
                ended.set()
                raise RuntimeError("marker-value")
            return await super().send(request)

    client = ConfigClient(**arguments, transport=FailingTransport())
    async with config_lifespan(client, interval=0.02)(App()):
        await asyncio.wait_for(ended.wait(), PATIENCE)
        async with asyncio.timeout(PATIENCE):
            while "watching ended" not in caplog.text:  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)
    assert "watching ended: the transport raised RuntimeError" in caplog.text
    assert "marker-value" not in caplog.text


async def test_an_application_without_configuration_does_not_start(
    server: Any, arguments: Any
) -> None:
    server.answer(b"", status="404 Not Found")
    lifespan = config_lifespan(ConfigClient(**arguments), watch=False)
    with pytest.raises(ConfigClientError, match="answered 404"):
        async with lifespan(App()):
            raise AssertionError("it started")
