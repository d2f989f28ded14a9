"""What live values follow: one watcher of their client, or what it fetches."""

import asyncio
import contextlib
import logging
import socket
import threading
from typing import Any

import pytest
from live_programs import FAST, PATIENCE, Cache, Db, document, threads, until

from pyfly.config_client import AsyncLive, ConfigClient, ConfigClientError, SyncConfigClient

pytestmark = pytest.mark.anyio


async def test_live_values_of_one_client_share_one_held_request(server: Any, program: Any) -> None:
    """With a watcher each there would be twenty requests, and with polling alone hours of wait."""
    held: list[socket.socket] = []
    let_go = threading.Event()

    def hold(connection: socket.socket) -> None:
        held.append(connection)
        assert let_go.wait(PATIENCE)
        new = document(db__url="y", cache__size=2)
        connection.sendall(server.json(new, 'ETag: "2"', "Preference-Applied: wait"))
        connection.shutdown(socket.SHUT_WR)

    def hold_on(connection: socket.socket) -> None:
        held.append(connection)
        with contextlib.suppress(OSError):
            connection.recv(1)  # until the client closes it

    server.turns = [server.json(document(db__url="x", cache__size=1), 'ETag: "1"'), hold, hold_on]
    one = program()
    pairs = [
        (await one.live("db", Db, interval=3600), await one.live("cache", Cache, interval=3600))
        for _ in range(10)
    ]
    await until(lambda: len(held) == 1)
    let_go.set()
    await until(lambda: all(db.value.url == "y" and cache.value.size == 2 for db, cache in pairs))
    await until(lambda: len(held) == 2)
    first, *others = (live for pair in pairs for live in pair)
    for live in others:
        await one.close(live)
    await one.close(others[0])  # again, which does nothing
    assert len(server.requests) == 3
    assert first.value == Db("y")
    await one.close(first)
    assert threads() == []
    assert first.value == Db("y")  # the last one


async def test_a_closed_value_follows_no_longer_and_can_be_entered_again(
    server: Any, program: Any
) -> None:
    server.answer_json(document(a=1))
    one = program()
    live: Any = await one.live("a", int)
    seen: list[Any] = []
    live.on_change(lambda *both: seen.append(both))
    await one.close(live)
    server.answer_json(document(a=2))
    await one.fetch()
    assert live.value == 1
    if isinstance(live, AsyncLive):
        await live.__aenter__()
    else:
        live.__enter__()
    assert live.value == 2
    assert seen == []
    server.answer_json(document(a=3))
    await until(lambda: seen)
    assert seen == [(2, 3)]


async def test_a_value_without_a_watcher_follows_what_the_client_fetches(
    server: Any, program: Any
) -> None:
    server.answer_json(document(a=1))
    one = program()
    live = await one.live("a", int, watch=False)
    seen: list[Any] = []
    live.on_change(lambda *both: seen.append(both))
    assert threads() == []
    server.answer_json(document(a=2))
    await one.fetch()
    assert live.value == 2
    assert seen == [(1, 2)]
    assert len(server.requests) == 2


async def test_a_value_follows_a_watcher_of_the_program(server: Any, arguments: Any) -> None:
    server.turns = [server.json(document(a=1))]
    server.answer_json(document(a=2))
    client = ConfigClient(**arguments)
    async with client.live("a", int, watch=False) as live:
        watch = client.watch(**FAST)
        change = await asyncio.wait_for(anext(watch), PATIENCE)
        assert change.properties["a"] == live.value == 2
        await watch.aclose()


async def test_a_client_that_is_offline_has_constant_values(
    server: Any, program: Any, tmp_path: Any
) -> None:
    server.answer_json(document(a=1))
    await program(snapshot_dir=tmp_path / "state").fetch()
    live = await program(snapshot_dir=tmp_path / "state", policy="offline").live("a", int)
    assert live.value == 1
    assert threads() == []


async def test_two_event_loops_need_two_clients(server: Any, arguments: Any) -> None:
    server.answer_json(document(a=1))
    client = ConfigClient(**arguments)

    async def elsewhere() -> None:
        async with client.live("a", int):
            pass

    async with client.live("a", int):
        with pytest.raises(ConfigClientError, match="need one event loop"):
            await asyncio.to_thread(asyncio.run, elsewhere())
    await asyncio.to_thread(asyncio.run, elsewhere())


def test_a_loop_that_ended_without_closing_leaves_nothing_behind(
    server: Any, arguments: Any
) -> None:
    server.answer_json(document(a=1))
    client = ConfigClient(**arguments)
    live = client.live("a", int)
    asyncio.run(live.__aenter__())

    async def again() -> None:
        async with live:
            server.answer_json(document(a=2))
            await client.fetch()
            assert live.value == 2

    asyncio.run(again())


def test_the_pace_of_a_live_value_is_checked(arguments: Any) -> None:
    for kind in (ConfigClient, SyncConfigClient):
        with pytest.raises(ValueError, match="interval"):
            kind(**arguments).live("a", int, interval=0)


async def test_an_end_of_watching_is_logged(
    server: Any, arguments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        in_memory = False

        async def send(self, request: Any) -> Any:
            raise RuntimeError("marker-value")

        def start(self, request: Any) -> Any:
            raise AssertionError

    server.answer_json(document(a=1))
    client = ConfigClient(**arguments)
    properties = await client.fetch()
    other = ConfigClient(**arguments | {"transport": Failing()})
    other._session.holder._loaded = client._session.holder.loaded
    with caplog.at_level(logging.ERROR):
        async with other.live("a", int) as live:
            await until(lambda: "watching ended" in caplog.text)
            assert live.value == properties["a"]
    assert "marker-value" not in "".join(one.getMessage() for one in caplog.records)
