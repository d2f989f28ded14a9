"""Callbacks of live values: in which order, in which thread, and what becomes of their errors."""

import asyncio
import threading
import time
from typing import Any

import pytest
from live_programs import FAST, PATIENCE, Db, document, threads, until

from pyfly.config_client import ConfigClient, Rejection, SyncConfigClient

pytestmark = pytest.mark.anyio


async def test_callbacks_that_raise_are_logged_and_the_others_run(
    server: Any, program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer_json(document(db__url="x"))
    live = await program().live("db", Db)
    seen: list[Any] = []

    @live.on_change
    def fails(old: Db, new: Db) -> None:
        raise KeyError("marker-value")

    @live.on_change
    def exits(old: Db, new: Db) -> None:
        raise SystemExit("marker-value")

    @live.on_change
    def works(old: Db, new: Db) -> None:
        seen.append(new)

    @live.on_rejected
    def fails_too(rejection: Rejection) -> None:
        raise asyncio.CancelledError

    for url in ("y", "z"):
        server.answer_json(document(db__url=url))
        await until(lambda url=url: seen and seen[-1] == Db(url))
    server.answer_json(document(other=1))
    await until(lambda: "on_rejected raised CancelledError" in caplog.text)
    assert caplog.text.count("on_change raised KeyError") == 2
    assert caplog.text.count("on_change raised SystemExit") == 2
    assert "marker-value" not in caplog.text


def test_a_callback_may_fetch_and_close(server: Any, arguments: Any) -> None:
    server.turns = [server.json(document(a=number)) for number in (1, 2, 3)]
    client = SyncConfigClient(**arguments)
    live = client.live("a", int, watch=False)
    seen: list[Any] = []

    @live.on_change
    def again(old: int, new: int) -> None:
        seen.append((old, new))
        if new == 2:
            client.fetch()
        else:
            live.close()

    client.fetch()
    assert seen == [(1, 2), (2, 3)]
    server.answer_json(document(a=4))
    client.fetch()
    assert live.value == 3


def test_closing_from_a_callback_ends_the_watcher(server: Any, arguments: Any) -> None:
    server.turns = [server.json(document(a=1))]
    server.answer_json(document(a=2))
    live = SyncConfigClient(**arguments).live("a", int, interval=0.02)
    closed = threading.Event()
    live.on_change(lambda *_: (live.close(), closed.set()))
    assert closed.wait(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while threads() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert threads() == []


async def test_coroutines_are_awaited_in_order_and_delay_no_value(
    server: Any, arguments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer_json(document(a=1))
    client = ConfigClient(**arguments)
    let_go = asyncio.Event()
    seen: list[Any] = []
    async with client.live("a", int, watch=False) as live:

        @live.on_change
        async def slow(old: int, new: int) -> None:
            await let_go.wait()
            seen.append(("slow", old, new))
            raise RuntimeError("marker-value")

        @live.on_change
        def fast(old: int, new: int) -> None:
            seen.append(("fast", old, new))

        for number in (2, 3):
            server.answer_json(document(a=number))
            await client.fetch()
            assert live.value == number
        assert seen == []
        let_go.set()
        await until(lambda: len(seen) == 4)
    assert seen == [("slow", 1, 2), ("fast", 1, 2), ("slow", 2, 3), ("fast", 2, 3)]
    assert caplog.text.count("on_change raised RuntimeError") == 2
    assert "marker-value" not in caplog.text


async def test_a_callback_that_was_cancelled_does_not_end_the_others(
    server: Any, arguments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer_json(document(a=1))
    client = ConfigClient(**arguments)
    seen: list[Any] = []
    async with client.live("a", int, watch=False) as live:

        @live.on_change
        async def cancelled(old: int, new: int) -> None:
            await asyncio.sleep(0)
            raise asyncio.CancelledError

        live.on_change(lambda *both: seen.append(both))
        server.answer_json(document(a=2))
        await client.fetch()
        await until(lambda: seen)
    assert "on_change raised CancelledError" in caplog.text


async def test_closing_ends_a_callback_that_waits(server: Any, arguments: Any) -> None:
    server.answer_json(document(a=1))
    client = ConfigClient(**arguments)
    ended: list[Any] = []
    began = asyncio.Event()
    async with client.live("a", int, watch=False) as live:

        @live.on_change
        async def waits(old: int, new: int) -> None:
            try:
                began.set()
                await asyncio.Event().wait()
            finally:
                ended.append(new)

        server.answer_json(document(a=2))
        await client.fetch()
        await began.wait()
    assert ended == [2]


async def test_closing_before_a_coroutine_begins_leaves_nothing_behind(
    server: Any, arguments: Any
) -> None:
    server.answer_json(document(a=1))
    client = ConfigClient(**arguments)
    live = client.live("a", int, watch=False)
    seen: list[Any] = []

    @live.on_change
    async def note(old: int, new: int) -> None:
        seen.append((old, new))

    async with live:
        server.answer_json(document(a=2))
        await client.fetch()  # the last step of a fetch calls the function
    assert seen == []
    async with live:
        server.answer_json(document(a=3))
        await client.fetch()
        await until(lambda: seen)
    assert seen == [(2, 3)]


async def test_a_coroutine_may_close_its_live_value(server: Any, arguments: Any) -> None:
    server.answer_json(document(a=1))
    client = ConfigClient(**arguments)
    closed = asyncio.Event()
    async with client.live("a", int, **FAST) as live:

        @live.on_change
        async def close(old: int, new: int) -> None:
            await live.aclose()
            closed.set()

        server.answer_json(document(a=2))
        await asyncio.wait_for(closed.wait(), PATIENCE)


async def test_a_configuration_from_another_thread_calls_back_in_the_event_loop(
    server: Any, arguments: Any
) -> None:
    server.answer_json(document(a=1))
    client = ConfigClient(**arguments)
    called = asyncio.Event()
    inside: list[int] = []
    async with client.live("a", int, watch=False) as live:

        @live.on_change
        def note(old: int, new: int) -> None:
            inside.append(threading.get_ident())
            called.set()

        server.answer_json(document(a=2))
        await asyncio.to_thread(lambda: asyncio.run(client.fetch()))
        await asyncio.wait_for(called.wait(), PATIENCE)
    assert inside == [threading.get_ident()]


def test_a_coroutine_is_no_callback_of_a_thread(server: Any, arguments: Any) -> None:
    async def callback(old: int, new: int) -> None: ...

    server.answer_json(document(a=1))
    wrong: Any = "callback"
    with SyncConfigClient(**arguments).live("a", int, watch=False) as live:
        with pytest.raises(TypeError, match="without async"):
            live.on_change(callback)
        with pytest.raises(TypeError, match="callable"):
            live.on_rejected(wrong)
