"""A client and a server that holds requests: changes at once, and refreshes."""

import asyncio
import gc
import threading
from typing import Any

import pytest
from watched_clients import PATIENCE

from pyfly.config_client import (
    Change,
    ConfigClient,
    ConfigClientError,
    Properties,
    ServerUnreachableError,
    SyncConfigClient,
)

pytestmark = pytest.mark.anyio


async def test_a_held_request_brings_a_change(watch: Any, holding_server: Any) -> None:
    watched = await watch()
    for number in (1, 2, 3):
        holding_server.answer(a=number)
        change = await watched.change()
        assert (change.previous["a"], change.properties["a"]) == (number - 1, number)
        await holding_server.until(lambda: holding_server.held == 1)
    asked = [one.get("prefer") for one in holding_server.requests]
    assert asked == [None, *["wait=45"] * 4]
    assert watched.client.current == {"a": 3}


async def test_a_wait_that_ends_without_a_change_is_followed_by_the_next(
    watch: Any, holding_server: Any
) -> None:
    watched = await watch()
    before = watched.client.status.last_contact
    holding_server.end_waits()
    await holding_server.until(lambda: len(holding_server.requests) == 3)
    assert watched.client.status.last_contact > before, "the server confirmed it"
    assert watched.changes.empty()
    holding_server.answer(a=1)
    assert (await watched.change()).properties == {"a": 1}


@pytest.mark.slow
async def test_a_busy_server_and_a_cut_connection_end_no_watch(
    watch: Any, holding_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watched = await watch()
    holding_server.busy = 1
    holding_server.end_waits()
    assert "503" in (await watched.status(lambda status: status.failing)).last_error.text
    await watched.status(lambda status: not status.failing)
    for cuts in (1, 2):  # the first may count as the end of a connection that was idle
        await holding_server.until(lambda: holding_server.held == 1)
        holding_server.cut()
        await holding_server.until(lambda cuts=cuts: holding_server.let_go == 1 + cuts)
    error = (await watched.status(lambda status: status.failing)).last_error
    assert "closed the connection without a response" in error.text
    holding_server.answer(a=1)
    assert (await watched.change()).properties == {"a": 1}
    status = await watched.status(lambda status: not status.failing)
    assert status.last_error == error, "it is kept, to be looked at later"
    assert "keeping the current configuration" in caplog.text


async def test_a_server_without_waits_is_polled(watch: Any, holding_server: Any) -> None:
    holding_server.holds = False
    watched = await watch()
    holding_server.answer(a=1)
    assert (await watched.change()).properties == {"a": 1}


async def test_a_refresh_asks_the_store_and_brings_the_change(
    watch: Any, holding_server: Any
) -> None:
    holding_server.holds = False
    watched = await watch()
    holding_server.answer(a=1)
    assert await watched.refresh() == {"a": 1}
    assert watched.client.current == {"a": 1}
    change = await watched.change()
    assert (change.previous, change.properties) == ({"a": 0}, {"a": 1})
    asked = [one for one in holding_server.requests if "cache-control" in one]
    assert [(one["cache-control"], "prefer" in one) for one in asked] == [("no-cache", False)]
    assert asked[0]["if-none-match"]
    await watched.refresh()
    assert watched.changes.empty(), "each change comes once"


async def test_a_refresh_wakes_a_watcher_whose_request_is_held(
    watch: Any, holding_server: Any
) -> None:
    """As with a server that holds the requests of watchers too long."""
    watched = await watch()
    holding_server.silent = True
    holding_server.answer(a=1)
    assert await watched.refresh() == {"a": 1}
    assert (await watched.change()).properties == {"a": 1}
    assert watched.changes.empty()


async def test_a_refresh_before_a_fetch_is_a_fetch(make_client: Any, holding_server: Any) -> None:
    watched = make_client()
    assert await watched.refresh() == {"a": 0}
    assert holding_server.requests[0]["cache-control"] == "no-cache"


async def test_a_refresh_that_fails_leaves_the_configuration(
    make_client: Any, holding_server: Any, tmp_path: Any
) -> None:
    watched = make_client(snapshot_dir=tmp_path / "state")
    found = await watched.fetch()
    holding_server.stop()
    with pytest.raises(ServerUnreachableError):
        await watched.refresh()
    assert watched.client.current is found
    assert watched.client.status.failing
    offline = make_client(snapshot_dir=tmp_path / "state", policy="offline")
    with pytest.raises(ConfigClientError, match="cannot refresh"):
        await offline.refresh()


@pytest.mark.slow
async def test_the_change_after_a_rejected_configuration_is_seen_at_once(
    watch: Any, holding_server: Any
) -> None:
    """With pauses that grow to the interval this test would take minutes."""

    def validate(properties: Properties) -> None:
        if properties.get("a", int) < 0:
            raise ValueError

    watched = await watch(validate=validate)
    for number in range(1, 9):
        holding_server.answer(a=-number)
        await watched.status(lambda status, number=number: status.rejected == number)
        await holding_server.until(lambda: holding_server.held == 1)
    holding_server.answer(a=1)
    change = await watched.change()
    assert (change.previous["a"], change.properties["a"]) == (0, 1)
    tags = [one.get("if-none-match") for one in holding_server.requests]
    assert len({*tags[1:]}) == len(tags[1:]), "each request waits for another configuration to end"
    await holding_server.until(lambda: holding_server.held == 1)


async def test_changes_are_told_after_an_interrupt_at_any_moment(
    make_client: Any, holding_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the time limit of a task, which is an exception in the middle of a fetch."""
    watched = make_client()
    await watched.fetch()
    watched.client.on_change(watched.changes.put)

    def interrupt(*_: Any) -> Any:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr("pyfly.config_client._changes.difference", interrupt)
        with pytest.raises(TimeoutError):
            await watched.refresh()
    holding_server.answer(a=1)
    await watched.refresh()
    assert watched.changes.get_nowait().properties == {"a": 1}


async def test_functions_are_called_for_every_fetch_until_they_are_removed(
    make_client: Any, holding_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watched = make_client()
    seen: list[Any] = []

    def fail(change: Change) -> None:
        raise RuntimeError(change.properties["a"])

    watched.client.on_change(fail)
    remove = watched.client.on_change(lambda change: seen.append(change.properties["a"]))
    await watched.fetch()
    assert seen == [], "the first configuration is no change"
    holding_server.answer(a="marker-value")
    await watched.fetch()
    assert seen == ["marker-value"]
    assert "on_change raised RuntimeError" in caplog.text
    assert "marker-value" not in caplog.text
    remove()
    remove()
    holding_server.answer(a=2)
    await watched.fetch()
    assert seen == ["marker-value"]


def test_a_function_may_refresh(holding_server: Any) -> None:
    """News that come while functions are called follow; none is called within another."""
    client = SyncConfigClient(server_url=holding_server.url, application="orders", profile="prod")
    client.fetch()
    seen: list[Any] = []

    def again(change: Change) -> None:
        seen.append(("begins", change.properties["a"]))
        if change.properties["a"] == 1:
            holding_server.answer(a=2)
            assert client.refresh() == {"a": 2}
        seen.append(("ends", change.properties["a"]))

    client.on_change(again)
    holding_server.answer(a=1)
    client.refresh()
    assert seen == [("begins", 1), ("ends", 1), ("begins", 2), ("ends", 2)]


async def test_another_task_may_end_a_watcher(holding_server: Any) -> None:
    client = ConfigClient(server_url=holding_server.url, application="orders", profile="prod")
    await client.fetch()
    watcher = client.watch()

    async def follow() -> str:
        async for _ in watcher:
            pass
        return "ended"

    task = asyncio.create_task(follow())
    await holding_server.until(lambda: holding_server.held == 1)
    await watcher.aclose()
    assert await task == "ended"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watcher_that_ends_says_why(
    holding_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`SystemExit` ends a thread without a word otherwise."""

    def leave(_: Properties) -> None:
        if ended.is_set():
            raise SystemExit

    ended = threading.Event()
    names: Any = {"server_url": holding_server.url, "application": "orders", "profile": "prod"}
    client = SyncConfigClient(**names, validate=leave)
    with client.watch() as watcher:
        holding_server.wait_until(lambda: holding_server.held == 1)
        ended.set()
        holding_server.answer(a=1)
        watcher._thread.join(PATIENCE)
        assert not watcher.alive
    assert "watching ended: SystemExit was raised" in caplog.text


def test_watchers_that_are_forgotten_leave_nothing_behind(holding_server: Any) -> None:
    async def look() -> int:
        client = ConfigClient(server_url=holding_server.url, application="orders", profile="prod")
        for number in (1, 2, 3):
            await client.fetch()
            holding_server.answer(a=number)
            async for _ in client.watch(interval=0.01):
                break
        gc.collect()
        return len(client._session.holder.on_change)

    holding_server.holds = False
    assert asyncio.run(look()) == 0
