"""Changes reach a program, and nothing else does."""

import asyncio
import math
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from watched_documents import FAST, PATIENCE, document

from pyfly.config_client import (
    Change,
    ConfigClient,
    ConfigClientError,
    Properties,
    SyncConfigClient,
    config_lifespan,
)

pytestmark = pytest.mark.anyio


class Changes:
    """The next changes, whichever client watches."""

    def __init__(self, take: Callable[[], Any], client: Any) -> None:
        self.take = take
        self.client = client


@pytest.fixture(params=["async", "sync"])
async def changes(
    request: pytest.FixtureRequest, server: Any, arguments: Any
) -> AsyncIterator[Callable[..., Any]]:
    """Start to watch; the result takes the next change."""
    async_watches: list[Any] = []
    sync_watches: list[Any] = []

    async def start(**how: Any) -> Changes:
        if request.param == "async":
            client = ConfigClient(**arguments | how)
            await client.fetch()
            watch = client.watch(**FAST)
            async_watches.append(watch)

            async def take() -> Change:
                return await asyncio.wait_for(anext(watch), PATIENCE)

            return Changes(take, client)
        sync_client = SyncConfigClient(**arguments | how)
        queue: asyncio.Queue[Change] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        watcher = sync_client.watch(
            lambda change: loop.call_soon_threadsafe(queue.put_nowait, change), **FAST
        )
        sync_watches.append(watcher)
        return Changes(lambda: asyncio.wait_for(queue.get(), PATIENCE), sync_client)

    yield start
    for async_watcher in async_watches:
        await async_watcher.aclose()
    for watcher in sync_watches:
        watcher.stop()
        assert not watcher.alive


async def test_a_change_lists_what_was_added_removed_and_changed(server: Any, changes: Any) -> None:
    server.answer_json(document(a=1, b=1, c=1, d=1), 'ETag: "1"')
    watched = await changes()
    taking = asyncio.ensure_future(watched.take())
    await asyncio.sleep(0)
    server.answer_json(document(a=1, b="1", c=2, e=1), 'ETag: "2"')
    change = await taking
    assert (change.added, change.removed, change.changed) == ({"e"}, {"d"}, {"b", "c"})
    assert change.keys == {"b", "c", "d", "e"}
    assert (change.touches("c"), change.touches("a")) == (True, False)
    assert (change.previous["c"], change.properties["c"]) == (1, 2)
    assert watched.client.current is change.properties


async def test_requests_are_conditional_and_offer_to_wait(server: Any, changes: Any) -> None:
    server.turns = [
        server.json(document(a=1), 'ETag: "1"'),
        server.message(b"", 'ETag: "1"', status="304 Not Modified", length=False),
    ]
    server.answer_json(document(a=2), 'ETag: "2"')
    watched = await changes()
    assert (await watched.take()).changed == {"a"}
    first, second, third, *_ = server.requests
    assert "if-none-match" not in first.lower()
    for request in (second, third):
        assert 'if-none-match: "1"' in request.lower()
        assert "prefer: wait=30" in request.lower()


async def test_a_server_that_holds_requests_is_asked_again_at_once(
    server: Any, arguments: Any
) -> None:
    """With polling alone this test would take an hour."""
    applied = "Preference-Applied: wait"
    server.turns = [
        server.json(document(a=1), 'ETag: "1"'),
        server.json(document(a=2), 'ETag: "2"', applied),
        server.json(document(a=3), 'ETag: "3"', applied),
        server.json(document(a=4), 'ETag: "4"', applied),
    ]
    client = ConfigClient(**arguments)
    seen: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        async for change in client.watch(interval=3600):
            seen.append(change.properties["a"])
            if len(seen) == 3:
                break
    assert seen == [2, 3, 4]


@pytest.mark.slow
async def test_what_is_known_stays_while_the_server_is_in_trouble(
    server: Any, changes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.turns = [
        server.json(document(a=1), 'ETag: "1"'),
        server.message(b"", "Retry-After: 0", status="503 Busy"),
        server.message(b"<html>marker</html>", "Content-Type: text/html"),
        server.json(document(a=2))[:-3],
        server.message(b"", status="401 Unauthorized"),
    ]
    server.answer_json(document(a=5), 'ETag: "5"')
    watched = await changes()
    change = await watched.take()
    assert (change.previous["a"], change.properties["a"]) == (1, 5)
    assert "keeping the current configuration" in caplog.text
    assert "marker" not in caplog.text


@pytest.mark.slow
async def test_a_value_that_the_program_refuses_never_replaces_a_good_one(
    server: Any, changes: Any
) -> None:
    def validate(properties: Properties) -> None:
        if properties["a"] == "bad":
            raise ValueError(properties["a"])

    server.turns = [server.json(document(a=text)) for text in ("good", "bad", "bad")]
    server.answer_json(document(a="better"))
    watched = await changes(validate=validate)
    change = await watched.take()
    assert (change.previous["a"], change.properties["a"]) == ("good", "better")


async def test_losing_most_properties_needs_consent_here_too(server: Any, changes: Any) -> None:
    ten = {f"key{number}": number for number in range(10)}
    server.turns = [server.json(document(**ten)), server.json(document(key0=0))]
    server.answer_json(document(**ten, key10=10))
    watched = await changes()
    assert (await watched.take()).added == {"key10"}


async def test_a_change_is_kept_as_a_snapshot(server: Any, changes: Any, tmp_path: Any) -> None:
    server.turns = [server.json(document(a=1))]
    server.answer_json(document(a=2))
    watched = await changes(snapshot_dir=tmp_path / "state")
    await watched.take()
    offline = SyncConfigClient(
        server_url=server.url,
        application="orders",
        profile="prod",
        policy="offline",
        snapshot_dir=tmp_path / "state",
    )
    assert offline.fetch() == {"a": 2}
    with pytest.raises(ConfigClientError, match="cannot watch"):
        offline.watch()


async def test_a_start_from_a_snapshot_is_confirmed_when_the_server_is_back(
    server: Any, arguments: Any, tmp_path: Any
) -> None:
    arguments |= {"snapshot_dir": tmp_path / "state"}
    server.answer_json(document(a=1), 'ETag: "1"')
    await ConfigClient(**arguments).fetch()
    server.answer_json({}, status="503 Busy")
    client = ConfigClient(**arguments)
    found = await client.fetch()
    assert (found.from_snapshot, found["a"]) == (True, 1)
    server.turns = [server.message(b"", 'ETag: "1"', status="304 Not Modified", length=False)]
    server.answer_json(document(a=2), 'ETag: "2"')
    watch = client.watch(**FAST)
    change = await asyncio.wait_for(anext(watch), PATIENCE)
    await watch.aclose()
    assert change.previous == {"a": 1}
    assert not change.previous.from_snapshot
    assert 'if-none-match: "1"' in server.requests[2].lower()


async def test_a_token_that_is_renewed_is_used_while_watching(
    server: Any, changes: Any, tmp_path: Any
) -> None:
    file = tmp_path / "token"
    file.write_text("first", encoding="utf-8")
    server.answer_json(document(a=1))
    watched = await changes(token_file=file)
    file.write_text("second", encoding="utf-8")
    taking = asyncio.ensure_future(watched.take())
    async with asyncio.timeout(PATIENCE):
        while not any("Bearer second" in one for one in server.requests):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # another thread counts
    file.unlink()  # the last one is used then
    server.answer_json(document(a=2))
    assert (await taking).changed == {"a"}


async def test_a_token_that_is_away_when_watching_begins_ends_no_watch(
    server: Any, changes: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text("first", encoding="utf-8")
    server.answer_json(document(a=1))

    def empty_it(_: object) -> None:
        file.write_text("", encoding="utf-8")

    watched = await changes(token_file=file, validate=empty_it)
    taking = asyncio.ensure_future(watched.take())
    async with asyncio.timeout(PATIENCE):
        while "watching starts when" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # another thread may write it
    server.answer_json(document(a=2))
    file.write_text("second", encoding="utf-8")
    assert (await taking).changed == {"a"}
    assert "Bearer second" in server.requests[1]


async def test_another_version_with_the_same_values_is_no_change(server: Any, changes: Any) -> None:
    server.turns = [server.json(document(a=1) | {"version": str(n)}) for n in range(3)]
    server.answer_json(document(a=2) | {"version": "9"})
    watched = await changes()
    assert (await watched.take()).changed == {"a"}


def test_a_callback_that_raises_is_logged_and_watching_goes_on(
    server: Any, arguments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    done = threading.Event()

    def on_change(change: Change) -> None:
        seen.append(change.properties["a"])
        if len(seen) == 1:
            raise RuntimeError("marker-value")
        done.set()

    server.turns = [server.json(document(a=number)) for number in (1, 2)]
    server.answer_json(document(a=3))
    with SyncConfigClient(**arguments).watch(on_change, **FAST):
        assert done.wait(PATIENCE)
    assert seen == [2, 3]
    assert "on_change raised RuntimeError" in caplog.text
    assert "marker-value" not in caplog.text


def test_a_callback_that_wants_to_exit_does_not_end_watching(
    server: Any, arguments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`SystemExit` would end only the thread of the watcher, without a word."""
    seen: list[Any] = []
    done = threading.Event()

    def on_change(change: Change) -> None:
        seen.append(change.properties["a"])
        if len(seen) == 1:
            sys.exit("marker-value")
        done.set()

    server.turns = [server.json(document(a=number)) for number in (1, 2)]
    server.answer_json(document(a=3))
    with SyncConfigClient(**arguments).watch(on_change, **FAST):
        assert done.wait(PATIENCE)
    assert "on_change raised SystemExit" in caplog.text
    assert "marker-value" not in caplog.text


def test_stopping_does_not_wait_for_a_server_that_holds_the_request(
    server: Any, arguments: Any
) -> None:
    server.turns = [server.json(document(a=1), 'ETag: "1"')]
    server.chunks = [b"H"] * 6000
    server.pause = 0.01
    watcher = SyncConfigClient(**arguments).watch(interval=0.01, wait=3600)
    while len(server.requests) < 2:
        threading.Event().wait(0.01)
    watcher.stop()
    assert not watcher.alive


async def test_a_pace_that_is_no_number_is_named_at_once(server: Any, arguments: Any) -> None:
    server.answer_json(document(a=1))
    pace: Any
    for pace in ({"interval": "5"}, {"interval": True}, {"wait": None}):
        expected = f"{next(iter(pace))} must be a number"
        with pytest.raises(TypeError, match=expected):
            await anext(ConfigClient(**arguments).watch(**pace))
        with pytest.raises(TypeError, match=expected):
            SyncConfigClient(**arguments).watch(**pace)


@pytest.mark.parametrize(
    "pace",
    [
        {"interval": 0},
        {"interval": -1},
        {"interval": math.nan},
        {"interval": math.inf},
        {"wait": -1},
        {"wait": math.inf},
    ],
)
async def test_a_pace_that_no_system_can_keep_is_refused_at_once(
    server: Any, arguments: Any, pace: Any
) -> None:
    server.answer_json(document(a=1))
    with pytest.raises(ValueError, match=f"{next(iter(pace))} must be more than 0 seconds"):
        await anext(ConfigClient(**arguments).watch(**pace))
    with pytest.raises(ValueError, match="at most a day"):
        SyncConfigClient(**arguments).watch(**pace)
    if "interval" in pace:
        with pytest.raises(ValueError, match="interval"):
            config_lifespan(ConfigClient(**arguments), interval=pace["interval"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_worker_that_was_forked_off_watches_by_itself(server: Any, arguments: Any) -> None:
    server.answer_json(document(a=1), 'ETag: "1"')
    seen = threading.Event()
    client = SyncConfigClient(**arguments)
    watcher = client.watch(lambda change: seen.set(), **FAST)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # in the worker nothing may escape, or there would be two test runs
        code = 1
        try:
            os.write(write, b"x")
            if seen.wait(PATIENCE) and client.current == {"a": 2} and watcher.alive:
                code = 0
        finally:
            os._exit(code)
    os.read(read, 1)
    server.answer_json(document(a=2), 'ETag: "2"')
    _, status = os.waitpid(child, 0)
    watcher.stop()
    for end in (read, write):
        os.close(end)
    assert os.waitstatus_to_exitcode(status) == 0
