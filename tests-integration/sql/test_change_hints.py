"""Hints of PostgreSQL: who listens, and what becomes of lost connections."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import ANY
from pyfly.config_sql import SqlConfigBackend, _listener

pytestmark = pytest.mark.anyio

SECONDS = 60
ORDERS = ConfigSource(application="orders", profile="prod", properties={})


async def listening(
    backend: SqlConfigBackend,
) -> tuple[AsyncGenerator[None], "asyncio.Task[None]"]:
    """Begin to wait for a hint; return when the database has been told."""
    stream = backend.hints()
    task = asyncio.ensure_future(anext(stream))
    while not any(  # noqa: ASYNC110 - no event
        listener.is_listening for listener in backend._listeners
    ):
        await asyncio.sleep(0.01)
    return cast("AsyncGenerator[None]", stream), task


async def test_every_commit_of_another_process_is_a_hint(postgres: Any, open_empty: Any) -> None:
    url = postgres.database("hints")
    async with open_empty(url) as backend, asyncio.timeout(SECONDS):
        other = SqlConfigBackend.from_url(url)
        stream, first = await listening(backend)
        await other.save(ORDERS)
        await first
        second = asyncio.ensure_future(anext(stream))
        await asyncio.wait({second}, timeout=0.2)
        assert not second.done()  # nothing was committed
        await other.delete(ORDERS.key, expected=ANY)
        await second
        await stream.aclose()
        await other.aclose()


async def test_a_listener_that_lost_its_connection_listens_again_and_hints(
    postgres: Any, open_empty: Any
) -> None:
    async with open_empty(postgres.database("listeners")) as backend, asyncio.timeout(SECONDS):
        stream, first = await listening(backend)
        (listener,) = backend._listeners
        lost = listener._driver
        postgres.server.psql(f"SELECT pg_terminate_backend({lost.get_server_pid()});")
        await first  # something may have been missed
        assert listener._driver is not lost
        second = asyncio.ensure_future(anext(stream))
        await backend.save(ORDERS)
        await second
        await stream.aclose()


async def test_a_silent_connection_is_tried_and_replaced_when_it_is_dead(
    postgres: Any,
    open_empty: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(_listener, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(_listener, "RETRY_SECONDS", 0.05)
    async with open_empty(postgres.database("silent")) as backend, asyncio.timeout(SECONDS):
        stream, first = await listening(backend)
        (listener,) = backend._listeners
        await asyncio.wait({first}, timeout=0.5)
        assert not first.done()  # it was tried several times, and answered
        lost = listener._driver
        monkeypatch.setattr(listener, "_on_event", lambda *_: None)
        lost.remove_termination_listener(listener.__class__._on_event)
        postgres.stop()
        while "cannot listen for changes" not in caplog.text:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
        postgres.start()
        await first
        await stream.aclose()


async def test_closing_ends_a_reader_of_hints(postgres: Any, open_empty: Any) -> None:
    async with open_empty(postgres.database("closing")) as backend, asyncio.timeout(SECONDS):
        _, first = await listening(backend)
        await backend.aclose()
        with pytest.raises(StopAsyncIteration):
            await first


async def test_readers_of_hints_take_no_place_in_the_pool(postgres: Any, open_empty: Any) -> None:
    async with open_empty(postgres.database("places")) as backend:
        streams = [await listening(backend) for _ in range(8)]  # more than the pool has
        assert backend._database.engine.pool.checkedout() == 0
        await asyncio.gather(*(backend.check() for _ in range(8)))
        for stream, task in streams:
            task.cancel()
            await asyncio.wait({task})
            await stream.aclose()
