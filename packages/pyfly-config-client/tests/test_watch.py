"""Changes reach a program, and nothing else does."""

import asyncio
import json
import math
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from pyfly.config_client import (
    Change,
    ClientConfig,
    ConfigClient,
    ConfigClientError,
    Properties,
    ServerUnreachableError,
    SyncConfigClient,
    config_lifespan,
)
from pyfly.config_client._changes import Loaded
from pyfly.config_client._rounds import accept
from pyfly.config_client._steps import Compute, Job, SendRequest, Sleep, UseConfiguration
from pyfly.config_client._watch import WatchTiming, watch
from pyfly.config_client.transport import HttpRequest, HttpResponse, HttpxTransport

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
FAST = {"interval": 0.02, "wait": 30.0}


def document(**source: Any) -> dict[str, Any]:
    sources = [{"name": "main/orders.yaml", "source": source}]
    return {"name": "orders", "profiles": ["prod"], "label": None, "propertySources": sources}


@pytest.fixture
def arguments(server: Any) -> dict[str, Any]:
    return {"server_url": server.url, "application": "orders", "profile": "prod", "attempts": 1}


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


class Plan:
    """A watcher without network and time: responses in, pauses out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **timing: float) -> None:
        monkeypatch.setattr("random.uniform", lambda _, most: most)
        self.now = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        self.config = ClientConfig(
            server_url="http://config", application="orders", policy="require_server"
        )
        requests = self.config.build_requests(None)
        self.job = Job(config=self.config, requests=requests, attempts=1)
        self.sent: list[SendRequest] = []
        self.current = self._load()
        how: Any = {"interval": 60.0, "wait": 40.0} | timing
        self.steps = watch(lambda: self.job, lambda: self.current, WatchTiming(**how))

    def _load(self) -> Loaded:
        response = self.answer({"a": 0}, '"0"')
        return accept(self.job, self.job.requests[0][0], response)

    @staticmethod
    def answer(source: Any, etag: str, **headers: str) -> HttpResponse:
        body = json.dumps(document(**source) | {"profiles": ["default"]}).encode()
        known = {"content-type": "application/json", "etag": etag}
        return HttpResponse(status=200, headers=known | headers, body=body)

    def pauses(self, *turns: tuple[float, HttpResponse | ConfigClientError]) -> list[float]:
        """Return the pauses after responses, each of which takes some seconds."""
        waiting = list(turns)
        found: list[float] = []
        for step in self.steps:
            match step:
                case SendRequest():
                    if not waiting:
                        return [*found, 0.0]  # asked again without a pause
                    self.sent.append(step)
                    seconds, step.result = waiting.pop(0)
                    self.now += seconds
                case Compute():
                    step.perform()
                case UseConfiguration():
                    self.current, step.result = step.loaded, True
                case Sleep():
                    found.append(step.seconds)
                    self.now += step.seconds
                    if not waiting:
                        return found
                case _:
                    pass
        raise AssertionError("a watcher never ends")


def unchanged(**headers: str) -> HttpResponse:
    return HttpResponse(status=304, headers=headers, body=b"")


HELD = {"preference-applied": "wait=40"}


def test_a_held_request_is_followed_by_the_next_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(monkeypatch)
    changed = plan.answer({"a": 1}, '"1"', **HELD)
    turns = [(35.0, unchanged(**HELD)), (5.0, changed), (40.0, unchanged(**HELD))]
    assert plan.pauses(*turns) == [0.0]
    headers = [step.headers for step in plan.sent]
    assert headers == [
        {"If-None-Match": '"0"', "Prefer": "wait=40"},
        {"If-None-Match": '"0"', "Prefer": "wait=40"},
        {"If-None-Match": '"1"', "Prefer": "wait=40"},
    ]
    assert {step.timeout for step in plan.sent} == {50.0}, "the wait, and the timeout of a fetch"


def test_changes_in_a_burst_are_fetched_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(monkeypatch)
    turns = [(0.001, plan.answer({"a": n}, f'"{n}"', **HELD)) for n in range(1, 4)]
    assert plan.pauses(*turns) == pytest.approx([0.15] * 3)


def test_a_server_that_does_not_hold_requests_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(monkeypatch)
    turns = [(0.1, unchanged()), (0.1, plan.answer({"a": 1}, '"1"')), (0.1, unchanged())]
    assert plan.pauses(*turns) == [90.0] * 3, "the interval, by half more or less"


def test_waits_that_end_early_are_followed_by_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that stops ends all waits; one that only says that it waits would be flooded."""
    plan = Plan(monkeypatch)
    early = [(0.0, unchanged(**HELD))] * 8
    assert plan.pauses(*early) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert plan.pauses((35.0, unchanged(**HELD)), (5.0, unchanged(**HELD))) == [1]


def test_failures_are_followed_by_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(monkeypatch)
    refused = ServerUnreachableError("refused")
    assert plan.pauses(*[(0.0, refused)] * 8) == [1, 2, 4, 8, 16, 32, 60, 60]
    busy = HttpResponse(status=503, headers={"retry-after": "5"}, body=b"")
    plan = Plan(monkeypatch)
    assert plan.pauses((0.0, busy), (0.0, busy)) == [6, 7], "jitter on top of what all are told"
    assert plan.pauses((35.0, unchanged(**HELD)), (0.0, refused)) == [1]


def test_a_rejected_configuration_is_waited_for_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def validate(properties: Properties) -> None:
        if properties.get("a", int) < 0:
            raise ValueError

    plan = Plan(monkeypatch)
    plan.job = replace(plan.job, config=replace(plan.config, validate=validate))
    wrong = plan.answer({"a": -1}, '"wrong"', **HELD)
    turns = [
        (5.0, wrong),
        (35.0, unchanged(**HELD)),  # then it is checked again, and waited for again
        (0.1, plan.answer({"a": -1}, '"wrong"')),
        (5.0, plan.answer({"a": 1}, '"1"', **HELD)),
        (35.0, unchanged(**HELD)),
    ]
    assert plan.pauses(*turns) == pytest.approx([0.15, 0.15, 0.0])
    assert [step.headers for step in plan.sent] == [
        {"If-None-Match": '"0"', "Prefer": "wait=40"},
        {"If-None-Match": '"wrong"', "Prefer": "wait=40"},
        {"If-None-Match": '"0"'},
        {"If-None-Match": '"wrong"', "Prefer": "wait=40"},
        {"If-None-Match": '"1"', "Prefer": "wait=40"},
    ]
    assert plan.current.properties["a"] == 1


def test_a_rejected_configuration_of_a_server_that_does_not_hold_is_asked_for_ever_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def validate(properties: Properties) -> None:
        raise ValueError

    plan = Plan(monkeypatch)
    plan.job = replace(plan.job, config=replace(plan.config, validate=validate))
    turns = [(0.0, plan.answer({"a": 1}, '"1"')), (0.0, unchanged())] * 4
    assert plan.pauses(*turns) == pytest.approx([0.15, 2, 0.15, 8, 0.15, 32, 0.15, 60])


def test_a_server_that_comes_back_is_asked_to_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without an entity tag cannot be held, so there is no need to wait for the next."""
    plan = Plan(monkeypatch)
    plan.current = replace(plan.current, snapshot=replace(plan.current.snapshot, url="elsewhere"))
    assert plan.pauses((0.2, plan.answer({"a": 0}, '"0"', **HELD))) == [0.0]
    assert plan.sent[0].headers == {}


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
