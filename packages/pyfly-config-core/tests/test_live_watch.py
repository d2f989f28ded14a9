"""Requests that wait for a change: what wakes them, and what they leave behind."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from live_stores import SELDOM, Application, ControlledStore, bundle, soon, until

from pyfly.config_core import BackendUnavailableError, ConfigFormatError, ConfigKey
from pyfly.config_server import FilesystemConfigBackend, LiveOptions
from pyfly.config_server.live.counters import Counters
from pyfly.config_server.live.inputs import Touched
from pyfly.config_server.live.watching import ANY_CHANGE, Watching
from pyfly.config_server.storage import ANY

pytestmark = pytest.mark.anyio

ORDERS = "/config/orders/prod"
LIVE = "pyfly.config_server.live"


@pytest.fixture
def store() -> ControlledStore:
    return ControlledStore()


@pytest.fixture
async def app(store: ControlledStore) -> AsyncIterator[Application]:
    app = Application(store)
    await store.wrapped.save(bundle(n=1))
    yield app
    await app.aclose()


async def is_idle(app: Application) -> None:
    """Return when nothing is composed, and nothing is due."""
    live = app.live
    await until(lambda: not live.watching._due and not live.answers._flights._running)
    for _ in range(10):
        await asyncio.sleep(0)


# --- what ends a wait -------------------------------------------------------------------------


async def test_a_change_ends_the_waits_for_its_document(
    app: Application, store: ControlledStore
) -> None:
    tag = (await app.get(ORDERS)).tag
    held = [app.hold(ORDERS, tag) for _ in range(120)]
    await app.held(120)
    rendered = app.live.counters.rendered
    await store.wrapped.save(bundle(n=2))
    await app.look()
    for reply in await soon(asyncio.gather(*held)):
        assert reply.sources == [{"n": 2}]
        assert reply.headers[b"preference-applied"] == b"wait=300"
    assert app.live.counters.rendered == rendered + 1


async def test_a_write_of_this_process_ends_a_wait(app: Application) -> None:
    held = app.hold(ORDERS, (await app.get(ORDERS)).tag)
    await app.held()
    await app.server.bundles.save(bundle(n=2))
    assert (await soon(held)).sources == [{"n": 2}]


@pytest.mark.parametrize(
    "changed", [bundle("billing", n=2), bundle(profile="eu", n=2), bundle(n=1), bundle(label="x")]
)
async def test_no_other_change_ends_it(
    app: Application, store: ControlledStore, changed: Any
) -> None:
    """The last but one is a save of the same content: composed again, and equal."""
    held = app.hold(ORDERS, (await app.get(ORDERS)).tag)
    await app.held()
    await store.wrapped.save(changed)
    await app.look()
    await is_idle(app)
    assert not held.done()
    await store.wrapped.save(bundle(n=3))
    await app.look()
    assert (await soon(held)).sources == [{"n": 3}]


async def test_a_request_may_have_what_was_current_while_it_waited(app: Application) -> None:
    """And nothing that had changed before it was sent, that failed, or that is no more."""
    await app.get(ORDERS)
    live, [entry] = app.live, [*app.live.answers.cache]
    sent = time.monotonic()
    assert live.is_ready(entry)
    assert live.was_ready(entry, sent)
    live.touch(Touched(everything=True))
    assert not live.is_ready(entry)
    assert live.was_ready(entry, sent)
    assert not live.was_ready(entry, time.monotonic())
    live.touch(Touched(everything=True))
    assert not live.was_ready(entry, time.monotonic()), "it was not current then"
    entry.error = ConfigFormatError("broken")
    assert not live.was_ready(entry, sent)
    entry.error = None
    live.answers.clear()
    assert not live.was_ready(entry, sent)


async def test_another_answer_is_sent_at_once(app: Application, store: ControlledStore) -> None:
    tag = (await app.get(ORDERS)).tag
    await store.wrapped.save(bundle(n=2))
    await app.look()
    assert (await soon(app.hold(ORDERS, tag))).sources == [{"n": 2}]
    assert (await soon(app.get(ORDERS, prefer="wait=300"))).sources == [{"n": 2}]


async def test_a_label_that_goes_ends_a_wait(app: Application, store: ControlledStore) -> None:
    await store.wrapped.save(bundle("other", label="next", n=1))
    held = app.hold(f"{ORDERS}/next", (await app.get(f"{ORDERS}/next")).tag)
    await app.held()
    key = ConfigKey(application="other", profile="prod", label="next")
    await app.server.bundles.delete(key, expected=ANY)
    assert (await soon(held)).status == 404


async def test_a_plain_file_that_goes_ends_a_wait(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    write("main/orders.yaml", "n: 1")
    path = write("main/nginx.conf", "one")
    app = Application(FilesystemConfigBackend(tmp_path), live=SELDOM)
    target = f"{ORDERS}/main/nginx.conf"
    held = app.hold(target, (await app.get(target)).tag)
    await app.held()
    path.unlink()
    await app.look()
    assert (await soon(held)).status == 404
    await app.aclose()


@pytest.mark.parametrize("part", [0.8, 0.9, 1.0])
async def test_a_wait_ends_after_80_to_100_percent_of_its_time(
    monkeypatch: pytest.MonkeyPatch, part: float
) -> None:
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return part

    monkeypatch.setattr(f"{LIVE}.watching.random.uniform", uniform)
    loop = asyncio.get_running_loop()
    delays: list[float] = []

    def call_later(delay: float, callback: Any, *arguments: Any) -> asyncio.TimerHandle:
        delays.append(delay)
        return loop.call_at(loop.time(), callback, *arguments)

    monkeypatch.setattr(loop, "call_later", call_later)
    watching = Watching(Composer(), limit=1, counters=Counters())
    await watching.wait(Request("a"), b'"1"', seconds=45, gone=None)
    assert bounds == [(0.8, 1)]
    assert delays == [45 * part]


@pytest.mark.slow
async def test_at_the_end_of_its_time_a_request_is_told_that_nothing_changed(
    app: Application,
) -> None:
    reply = await soon(app.hold(ORDERS, (await app.get(ORDERS)).tag, wait=1))
    assert reply.status == 304
    assert reply.headers[b"preference-applied"] == b"wait=1"


async def test_release_ends_every_wait_and_later_ones(app: Application) -> None:
    tag = (await app.get(ORDERS)).tag
    held = [app.hold(ORDERS, tag) for _ in range(3)]
    await app.held(3)
    app.app.release()
    assert [reply.status for reply in await soon(asyncio.gather(*held))] == [304] * 3
    assert (await soon(app.hold(ORDERS, tag))).status == 304
    assert (await app.get(ORDERS)).status == 200


# --- no change is missed ----------------------------------------------------------------------


async def test_a_change_between_the_answer_and_the_wait(
    app: Application, store: ControlledStore
) -> None:
    """It is noticed when the composition has ended, and its request has not gone on yet."""
    tag = (await app.get(ORDERS)).tag
    await store.wrapped.save(bundle(n=1))
    await app.look()  # the next reader composes again
    keep, touched = app.live.answers._keep, []

    def keep_and_change(*arguments: Any) -> Any:
        answer = keep(*arguments)
        if not touched:
            touched.append(asyncio.ensure_future(app.server.bundles.save(bundle(n=2))))
        return answer

    app.live.answers._keep = keep_and_change  # type: ignore[method-assign] # the moment of the change
    reply = await soon(app.hold(ORDERS, tag))
    assert reply.sources == [{"n": 2}]


async def test_a_newer_answer_between_the_answer_and_the_wait(app: Application) -> None:
    """Another request has composed it already: nobody is going to."""
    tag = (await app.get(ORDERS)).tag
    entry = next(iter(app.live.answers.cache))
    await app.server.bundles.save(bundle(n=2))
    assert (await app.get(ORDERS)).sources == [{"n": 2}]
    request, known = entry.request, tag.encode()
    await soon(app.live.wait(request, known, seconds=300, gone=None))


async def test_an_answer_that_was_dropped_before_the_wait(
    app: Application, store: ControlledStore
) -> None:
    tag = (await app.get(ORDERS)).tag
    entry = next(iter(app.live.answers.cache))
    app.live.answers.cache.discard(entry)
    waiting = asyncio.create_task(
        app.live.wait(entry.request, tag.encode(), seconds=300, gone=None)
    )
    await until(lambda: app.live.answers.cache.find(entry.request) is not None)
    await store.wrapped.save(bundle(n=2))
    await app.look()
    await soon(waiting)


async def test_an_answer_that_failed_before_the_wait_is_tried_again(
    app: Application, store: ControlledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store tells its changes again at once, so its recovery is never noticed."""
    monkeypatch.setattr(f"{LIVE}.answers._RETRY_SECONDS", 0.05)
    tag = (await app.get(ORDERS)).tag
    store.errors["fetch"] = BackendUnavailableError("the store is away")
    await store.wrapped.save(bundle(n=2))
    await app.look()
    assert (await app.get(ORDERS)).is_stale
    held = app.hold(ORDERS, tag)
    await app.held()
    rendered = app.live.counters.rendered
    await until(lambda: app.live.counters.rendered >= rendered + 2)  # it fails again, twice
    assert not held.done()
    del store.errors["fetch"]
    assert (await soon(held)).sources == [{"n": 2}]


async def test_a_change_during_an_outage(app: Application, store: ControlledStore) -> None:
    held = app.hold(ORDERS, (await app.get(ORDERS)).tag)
    await app.held()
    store.take_away()
    await store.wrapped.save(bundle(n=2))
    await app.look()
    await is_idle(app)
    assert not held.done()
    store.bring_back()
    await app.look()
    assert (await soon(held)).sources == [{"n": 2}]


async def test_a_document_that_failed_is_tried_again_by_one_timer(
    app: Application, store: ControlledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that fail meanwhile do not add to it."""
    monkeypatch.setattr(f"{LIVE}.answers._RETRY_SECONDS", 0.02)
    tag = (await app.get(ORDERS)).tag
    store.errors["fetch"] = BackendUnavailableError("the store is away")
    await store.wrapped.save(bundle(n=2))
    await app.look()
    held = app.hold(ORDERS, tag)
    await app.held()
    for _ in range(20):
        await app.get(ORDERS)
        await asyncio.sleep(0.005)
    rendered, loop = app.live.counters.rendered, asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(0.2)
    assert app.live.counters.rendered - rendered <= (loop.time() - began) / 0.02 + 2
    del store.errors["fetch"]
    assert (await soon(held)).sources == [{"n": 2}]


async def test_a_broken_bundle_keeps_requests_waiting(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    write("main/orders-prod.yaml", "n: 1")
    app = Application(FilesystemConfigBackend(tmp_path), live=SELDOM)
    held = app.hold(ORDERS, (await app.get(ORDERS)).tag)
    await app.held()
    write("main/orders-prod.yaml", "n: [")
    await app.look()
    await until(lambda: app.live.counters.broken == 1)
    await is_idle(app)
    assert not held.done()
    write("main/orders-prod.yaml", "n: 2")
    await app.look()
    assert (await soon(held)).sources == [{"n": 2}]
    await app.aclose()


# --- limits and ends --------------------------------------------------------------------------


async def test_too_many_requests_are_refused_while_plain_ones_are_answered(
    store: ControlledStore,
) -> None:
    app = Application(store, live=LiveOptions(max_staleness=1_000, max_watchers=2))
    tag = (await app.get(ORDERS)).tag
    held = [app.hold(ORDERS, tag) for _ in range(2)]
    await app.held(2)
    for _ in range(3):
        reply = await soon(app.hold(ORDERS, tag))
        assert reply.status == 503
        assert 5 <= int(reply.headers[b"retry-after"]) <= 30
    assert (await app.get(ORDERS)).status == 200
    assert app.live.counters.rejected_watchers == 3
    held.pop().cancel()
    await app.held(1)
    held.append(app.hold(ORDERS, tag))
    await app.held(2)
    await app.aclose()
    await soon(asyncio.gather(*held, return_exceptions=True))


class Line:
    """The receiving side of a connection whose client leaves when the test says so."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.cancelled = False

    async def receive(self) -> Any:
        try:
            await self.left.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return {"type": "http.disconnect"}


async def test_a_client_that_leaves_ends_its_wait(app: Application) -> None:
    tag, line = (await app.get(ORDERS)).tag, Line()
    held = app.hold(ORDERS, tag, receive=line.receive)
    await app.held()
    line.left.set()
    await soon(held)
    assert app.live.watching.count == 0
    assert not app.live.watching._waiters
    assert not app.live.watching._receivers


async def test_a_connection_that_breaks_ends_its_wait(app: Application) -> None:
    async def receive() -> Any:
        raise ConnectionResetError

    held = app.hold(ORDERS, (await app.get(ORDERS)).tag, receive=receive)
    await soon(held)
    await until(lambda: not app.live.watching._receivers)


async def test_nothing_that_receives_is_cancelled(store: ControlledStore) -> None:
    """Some servers lose the request then. It ends with its connection."""
    app = Application(store)
    tag, lines = (await app.get(ORDERS)).tag, [Line() for _ in range(3)]
    held = [app.hold(ORDERS, tag, receive=line.receive) for line in lines]
    await app.held(3)
    await app.server.bundles.save(bundle(n=2))
    await soon(held[0])
    later = Line()
    held.append(app.hold(ORDERS, (await app.get(ORDERS)).tag, receive=later.receive))
    await app.held(1)
    await app.aclose()
    await soon(asyncio.gather(*held))
    assert not any(line.cancelled for line in (*lines, later))
    for line in (*lines, later):
        line.left.set()
    await until(lambda: not app.live.watching._receivers)


class Composer:
    """Composes nothing."""

    async def __call__(self, request: Any) -> None:
        await asyncio.sleep(0)


class Request:
    """A name of a document."""

    application = "orders"

    def __init__(self, name: str) -> None:
        self.name = name

    async def represent(self, server: object) -> None:
        """Return nothing."""


class SlowComposer:
    """Composes one document after the other, each when it may."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(0)
        self.watching = Watching(self, limit=2_000, counters=Counters())
        self.composed = 0

    async def __call__(self, request: Any) -> None:
        await self.turns.acquire()
        self.composed += 1
        self.watching.changed(request, b'"2"')


async def waiting_for(watching: Watching, requests: list[Any], *, each: int) -> list[Any]:
    """Return the waits for documents, so many for each."""
    waits = [
        asyncio.create_task(watching.wait(one, b'"1"', seconds=300, gone=None))
        for one in requests
        for _ in range(each)
    ]
    await until(lambda: watching.count == len(waits))
    return waits


async def test_the_documents_of_a_change_are_composed_before_anybody_is_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{LIVE}.watching._COMPOSED_FIRST_SECONDS", 300)
    composer = SlowComposer()
    watching, requests = composer.watching, [Request(str(number)) for number in range(20)]
    watching.start()
    waits = await waiting_for(watching, requests, each=60)
    watching.want(requests)
    for _ in range(19):
        composer.turns.release()
    await until(lambda: composer.composed == 19)
    await asyncio.sleep(0.01)
    assert watching.count == len(waits)
    composer.turns.release()
    await soon(asyncio.gather(*waits))
    await watching.aclose()


async def test_a_document_that_takes_long_holds_nobody_else_back_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{LIVE}.watching._COMPOSED_FIRST_SECONDS", 0.02)
    composer = SlowComposer()
    watching, requests = composer.watching, [Request("a"), Request("b")]
    watching.start()
    waits = await waiting_for(watching, requests, each=1)
    watching.want(requests)
    composer.turns.release()
    await soon(asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED))
    assert watching.count == 1
    composer.turns.release()
    await soon(asyncio.gather(*waits))
    await watching.aclose()


async def test_who_waits_for_any_change_is_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{LIVE}.watching._COMPOSED_FIRST_SECONDS", 300)
    composer = SlowComposer()
    watching, requests = composer.watching, [Request("a"), Request("b")]
    watching.start()
    documents = await waiting_for(watching, requests, each=1)
    anything = asyncio.create_task(watching.wait(ANY_CHANGE, b'"1"', seconds=300, gone=None))
    await until(lambda: watching.count == 3)
    watching.want(requests)
    watching.changed(ANY_CHANGE, None)
    await soon(anything)
    assert not any(one.done() for one in documents)
    watching.release()
    await soon(asyncio.gather(*documents))
    await watching.aclose()


@pytest.mark.slow
async def test_twenty_thousand_short_waits_leave_nothing_behind() -> None:
    watching = Watching(Composer(), limit=1_000, counters=Counters())
    watching.start()
    tasks = len(asyncio.all_tasks())

    async def wait(number: int) -> None:
        request, line = Request(str(number)), Line()
        waiting = asyncio.create_task(
            watching.wait(request, b'"1"', seconds=300, gone=line.receive)
        )
        await asyncio.sleep(0)
        if number % 3 == 0:
            waiting.cancel()
        elif number % 3 == 1:
            watching.changed(request, b'"2"')
        else:
            line.left.set()
        await asyncio.gather(waiting, return_exceptions=True)
        line.left.set()

    for start in range(0, 20_000, 500):
        await asyncio.gather(*(wait(number) for number in range(start, start + 500)))
    await until(lambda: len(asyncio.all_tasks()) == tasks)
    assert watching.count == 0
    assert not watching._waiters
    assert not watching._due
    assert not watching._receivers
    await watching.aclose()
    gc.collect()
    assert not watching._tasks
