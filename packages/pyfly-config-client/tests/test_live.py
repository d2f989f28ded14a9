"""Live values are always whole and validated, and follow the configuration."""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import msgspec
import pytest
from pydantic import BaseModel

from pyfly.config_client import (
    AsyncLive,
    ConfigClient,
    ConfigClientError,
    Live,
    PropertyTypeError,
    Rejection,
    SyncConfigClient,
)

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
FAST: dict[str, Any] = {"interval": 0.02}


@dataclass(frozen=True)
class Db:
    url: str
    pool_size: int = 5


@dataclass(frozen=True)
class Cache:
    size: int


def document(version: str | None = None, **source: Any) -> dict[str, Any]:
    source = {name.replace("__", "."): value for name, value in source.items()}
    sources = [{"name": "main/orders.yaml", "source": source}]
    names = {"name": "orders", "profiles": ["prod"], "label": None, "version": version}
    return names | {"propertySources": sources}


@pytest.fixture
def arguments(server: Any) -> dict[str, Any]:
    return {"server_url": server.url, "application": "orders", "profile": "prod", "attempts": 1}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - another thread may make it true
            await asyncio.sleep(0.005)


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "pyfly-config-watch"]


class Program:
    """A program with one client of either kind, and its live values."""

    def __init__(self, client: Any, stack: contextlib.AsyncExitStack) -> None:
        self.client = client
        self.stack = stack

    async def live(self, prefix: str, model: Any, **how: Any) -> Live[Any]:
        live = self.client.live(prefix, model, **FAST | how)
        if isinstance(live, AsyncLive):
            return await self.stack.enter_async_context(live)
        return self.stack.enter_context(live)

    async def close(self, live: Any) -> None:
        if isinstance(live, AsyncLive):
            await live.aclose()
        else:
            live.close()

    async def fetch(self) -> None:
        if isinstance(self.client, ConfigClient):
            await self.client.fetch()
        else:
            self.client.fetch()


@pytest.fixture(params=["async", "sync"])
async def program(
    request: pytest.FixtureRequest, arguments: dict[str, Any]
) -> AsyncIterator[Callable[..., Program]]:
    kind = ConfigClient if request.param == "async" else SyncConfigClient
    async with contextlib.AsyncExitStack() as stack:
        yield lambda **how: Program(kind(**arguments | how), stack)
    assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("pyfly-config")]
    assert threads() == []


async def test_a_value_follows_the_configuration(server: Any, program: Any) -> None:
    server.turns = [server.json(document(db__url="x", other=number)) for number in (1, 2)]
    server.turns += [server.json(document(db__url="x", db__poolSize=9))]
    server.answer_json(document(db__url="y", db__pool_size="7"))
    live = await program().live("db", Db)
    seen: list[Any] = []
    live.on_change(lambda old, new: seen.append((old, new)))
    await until(lambda: len(seen) == 2)
    assert seen == [(Db("x"), Db("x", 9)), (Db("x", 9), Db("y", 7))]
    assert live.value == Db("y", 7)
    assert live.value is live.value
    assert live.rejected is None


async def test_a_configuration_that_does_not_fit_is_rejected(
    server: Any, program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bad = document("v2", db__url="marker-value", db__pool_size="marker-value")
    server.turns = [server.json(document("v1", db__url="x")), server.json(bad)]
    server.answer_json(document("v3", db__url="y"))
    live = await program().live("db", Db)
    rejections: list[Rejection] = []
    changes: list[Any] = []
    states: list[Any] = []
    live.on_rejected(rejections.append)
    live.on_rejected(lambda _: states.append((live.value, live.rejected)))
    live.on_change(lambda old, new: changes.append((old, new, live.rejected)))
    await until(lambda: changes)
    (rejection,) = rejections
    assert rejection.version == "v2"
    assert "db.pool_size" in rejection.reason
    assert timedelta(0) <= datetime.now(UTC) - rejection.when < timedelta(seconds=PATIENCE)
    assert changes == [(Db("x"), Db("y"), None)]
    assert states == [(Db("x"), rejection)]
    assert "version v2 is rejected" in caplog.text
    assert "marker-value" not in caplog.text + repr(rejection) + repr(live)


async def test_a_rejection_is_logged_without_a_version_that_the_store_does_not_have(
    server: Any, program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.turns = [server.json(document(db__url="x"))]
    server.answer_json(document(db__url="y", db__pool_size="many"))
    live = await program().live("db", Db)
    await until(lambda: live.rejected)
    assert live.rejected.version is None
    assert "keeping the previous value; the new configuration is rejected: " in caplog.text


async def test_the_value_is_in_use_again_after_the_mistake_is_taken_back(
    server: Any, program: Any
) -> None:
    server.answer_json(document(db__url="x"))
    live = await program().live("db", Db)
    first = live.value
    seen: list[Any] = []
    live.on_change(lambda *both: seen.append(both))
    server.answer_json(document(db__pool_size=1))
    await until(lambda: live.rejected)
    assert live.value is first
    server.answer_json(document(db__url="x"))
    await until(lambda: live.rejected is None)
    assert live.value is first
    assert seen == []


async def test_a_first_configuration_that_does_not_fit_is_an_error(
    server: Any, program: Any
) -> None:
    server.answer_json(document(db__pool_size="marker-value"))
    with pytest.raises(PropertyTypeError, match=r"db\.pool_size") as caught:
        await program().live("db", Db)
    assert "marker-value" not in str(caught.value)
    assert threads() == []


async def test_there_is_no_value_without_a_configuration(server: Any, program: Any) -> None:
    server.answer(b"", status="404 Not Found")
    with pytest.raises(ConfigClientError, match="answered 404"):
        await program().live("db", Db)


async def test_a_class_that_raises_rejects_the_configuration(
    server: Any, program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        def __init__(self, text: str) -> None:
            if text == "bad":
                raise RuntimeError("marker-value")
            self.text = text

        def __eq__(self, other: object) -> bool:
            if self.text == "incomparable":
                raise RuntimeError("marker-value")
            return False

        __hash__ = None  # type: ignore[assignment]

    server.answer_json(document(a="good"))
    live = await program().live("a", Odd)
    for text in ("bad", "incomparable"):
        server.answer_json(document(text, a=text))
        await until(lambda text=text: live.rejected and live.rejected.version == text)
    assert live.value.text == "good"
    assert "RuntimeError" in str(live.rejected)
    assert "marker-value" not in caplog.text


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


async def test_live_values_of_one_client_decide_for_themselves(server: Any, program: Any) -> None:
    server.answer_json(document(db__url="x", cache__size=1))
    one = program()
    db = await one.live("db", Db)
    cache = await one.live("cache", Cache)
    whole = await one.live("", dict[str, Any])
    server.answer_json(document(db__url="y", cache__size="many"))
    await until(lambda: cache.rejected)
    await until(lambda: db.value == Db("y"))
    assert cache.value == Cache(1)
    await until(lambda: whole.value == {"db": {"url": "y"}, "cache": {"size": "many"}})


async def test_sections_of_one_class_change_together(server: Any, program: Any) -> None:
    @dataclass(frozen=True)
    class Settings:
        db: Db
        cache: Cache

    server.answer_json(document(db__url="x", cache__size=1))
    live = await program().live("", Settings)
    server.answer_json(document(db__url="y", cache__size="many"))
    await until(lambda: live.rejected)
    assert live.value == Settings(Db("x"), Cache(1))
    server.answer_json(document(db__url="y", cache__size=2))
    await until(lambda: live.value == Settings(Db("y"), Cache(2)))


async def test_a_client_may_start_from_a_snapshot_that_fits(
    server: Any, program: Any, tmp_path: Any
) -> None:
    how = {
        "snapshot_dir": tmp_path / "state",
        "validate": lambda properties: properties.bind("db", Db),
    }
    server.answer_json(document(db__url="x"))
    await program(**how).fetch()
    server.answer_json(document(db__pool_size=1))
    live = await program(**how).live("db", Db)
    assert (live.value, live.rejected) == (Db("x"), None)
    server.answer_json(document(db__url="y"))
    await until(lambda: live.value == Db("y"))


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


class DbModel(BaseModel):
    url: str
    pool_size: int = 5


@attrs.frozen
class DbAttrs:
    url: str
    pool_size: int = 5


class DbStruct(msgspec.Struct):
    url: str
    pool_size: int = 5


@pytest.mark.parametrize("model", [DbModel, DbAttrs, DbStruct])
async def test_every_kind_of_class_is_followed(server: Any, arguments: Any, model: Any) -> None:
    server.answer_json(document(db__url="x"))
    client = ConfigClient(**arguments)
    async with client.live("db", model, watch=False) as live:
        server.answer_json(document(db__url="x", db__pool_size="many"))
        await client.fetch()
        assert (live.value, bool(live.rejected)) == (model(url="x"), True)
        server.answer_json(document(db__url="y", db__poolSize="7"))
        await client.fetch()
        assert (live.value, live.rejected) == (model(url="y", pool_size=7), None)


def test_no_thread_ever_reads_half_a_change(server: Any, arguments: Any) -> None:
    @dataclass(frozen=True)
    class Pair:
        left: int
        right: int

    server.answer_json(document(left=0, right=0))
    client = SyncConfigClient(**arguments)
    torn: list[Pair] = []
    versions: set[int] = set()
    done = threading.Event()
    with client.live("", Pair, watch=False) as live:

        def read() -> None:
            while not done.wait(0.0005):
                pair = live.value
                versions.add(pair.left)
                if pair.left != pair.right:
                    torn.append(pair)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for one in readers:
            one.start()
        for number in range(1, 20):
            server.answer_json(document(left=number, right=number))
            client.fetch()
            assert live.value == Pair(number, number)
        done.set()
        for one in readers:
            one.join()
    assert torn == []
    assert len(versions) > 1


def test_live_values_and_the_client_never_disagree_for_long(server: Any, arguments: Any) -> None:
    """Threads that fetch at the same time leave the live value at what the client has."""
    client = SyncConfigClient(**arguments)
    server.answer_json(document(a=0))
    with client.live("a", int, watch=False) as live:
        for number in range(1, 6):
            server.turns = [server.json(document(a=number * 10 + one)) for one in range(4)]
            fetching = [threading.Thread(target=client.fetch) for _ in range(4)]
            for one in fetching:
                one.start()
            for one in fetching:
                one.join()
            assert client.current is not None
            assert live.value == client.current["a"]


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


async def test_a_value_that_was_not_entered_says_so(arguments: Any) -> None:
    live = ConfigClient(**arguments).live("db", Db)
    assert repr(live) == "AsyncLive('db', Db)"
    with pytest.raises(ConfigClientError, match="enter it with 'async with'"):
        _ = live.value


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


def test_a_coroutine_is_no_callback_of_a_thread(server: Any, arguments: Any) -> None:
    async def callback(old: int, new: int) -> None: ...

    server.answer_json(document(a=1))
    wrong: Any = "callback"
    with SyncConfigClient(**arguments).live("a", int, watch=False) as live:
        with pytest.raises(TypeError, match="without async"):
            live.on_change(callback)
        with pytest.raises(TypeError, match="callable"):
            live.on_rejected(wrong)


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
