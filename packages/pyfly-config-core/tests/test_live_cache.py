"""The memory of the live layer, shared compositions and looks, and its beginning and end."""

import asyncio
import gc
import os
import sys
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from live_stores import SELDOM, Application, ControlledStore, Reply, bundle, soon, until

from pyfly.config_core import BackendUnavailableError
from pyfly.config_server import InMemoryConfigBackend, LiveOptions
from pyfly.config_server.storage import SupportsChangeHints

pytestmark = pytest.mark.anyio

ORDERS = "/config/orders/prod"
VARIANTS = int(os.environ.get("PYFLY_PROOF_VARIANTS", "1000"))
CACHE_BYTES = int(os.environ.get("PYFLY_PROOF_CACHE_BYTES", "1048576"))


@pytest.fixture
def store() -> ControlledStore:
    return ControlledStore()


@pytest.fixture
async def app(store: ControlledStore) -> AsyncIterator[Application]:
    app = Application(store)
    await store.wrapped.save(bundle(n=1))
    yield app
    await app.aclose()


# --- one for many -----------------------------------------------------------------------------


async def test_a_thousand_requests_cost_one_composition_and_one_look(
    app: Application, store: ControlledStore
) -> None:
    replies = await soon(asyncio.gather(*(app.get(ORDERS) for _ in range(1_000))))
    assert all(reply.sources == [{"n": 1}] for reply in replies)
    assert app.live.counters.rendered == 1
    assert store.calls["changes_since"] == 1


async def test_a_thousand_fresh_requests_cost_one_look(
    app: Application, store: ControlledStore
) -> None:
    await app.get(ORDERS)
    await store.wrapped.save(bundle(n=2))
    looks, rendered = store.calls["changes_since"], app.live.counters.rendered
    asked = [app.get(ORDERS, cache_control="no-cache") for _ in range(500)]
    asked += [app.get(ORDERS, if_none_match='"x"') for _ in range(500)]
    replies = await soon(asyncio.gather(*asked))
    assert all(reply.sources == [{"n": 2}] for reply in replies)
    assert app.live.counters.rendered == rendered + 1
    assert store.calls["changes_since"] <= looks + 2  # one may have begun before the last came in


async def test_a_request_that_is_cancelled_takes_no_composition_with_it(
    app: Application, store: ControlledStore
) -> None:
    gate = store.hold("fetch")
    first, second = (asyncio.create_task(app.get(ORDERS)) for _ in range(2))
    await soon(gate.reached.wait())
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    store.release("fetch")
    assert (await soon(second)).sources == [{"n": 1}]
    assert app.live.counters.rendered == 1


async def test_an_error_reaches_everybody_who_waits(
    app: Application, store: ControlledStore
) -> None:
    gate = store.hold("fetch")
    store.errors["fetch"] = BackendUnavailableError("the store is away")
    asked = [asyncio.create_task(app.get(ORDERS)) for _ in range(10)]
    await soon(gate.reached.wait())
    store.release("fetch")
    assert {reply.status for reply in await soon(asyncio.gather(*asked))} == {503}


# --- memory -----------------------------------------------------------------------------------


def variant(number: int) -> tuple[str, dict[str, str]]:
    """Return the target and the headers of one of many requests that differ."""
    kind, name = number % 8, f"v{number}"
    return [
        (f"{ORDERS},{name}", {}),
        (f"/config/{name}/prod", {}),
        (f"{ORDERS}/{name}", {}),  # no such label
        (f"{ORDERS}?keys={name}", {}),
        (f"{ORDERS}?x={name}", {}),
        (ORDERS, {"accept": f"application/json;v={name}"}),
        (f"{ORDERS}/main/nginx.conf", {"accept": f"text/{name}"}),
        (f"{ORDERS}/main/nginx.conf", {"accept_charset": name}),
    ][kind]


@pytest.mark.slow
async def test_many_variants_leave_hot_documents_hot_and_memory_within_its_bound() -> None:
    """`scripts/prove variants` does this with 100,000 variants."""
    store = InMemoryConfigBackend()
    store.put_resource("main", "nginx.conf", b"x" * 500)
    live = LiveOptions(max_staleness=1_000, cache_bytes=CACHE_BYTES)
    app = Application(store, live=live)
    hot = [f"/config/hot{number}/prod" for number in range(10)]
    for number in range(10):
        await store.save(bundle(f"hot{number}", n=number))
    for target in hot:
        await app.get(target)
    entries = {id(entry) for entry in app.live.answers.cache}
    gc.collect()
    tracemalloc.start()
    cold = 0
    for number in range(VARIANTS):
        target, headers = variant(number)
        assert (await app.get(target, **headers)).status in {200, 404}
        if number % 20 == 0:
            rendered = app.live.counters.rendered
            await app.get(hot[number // 20 % 10])
            cold += app.live.counters.rendered - rendered
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cold == 0
    assert entries <= {id(entry) for entry in app.live.answers.cache}
    assert app.live.counters.rendered > len(app.live.answers.cache)  # some were dropped
    ready = app.app._hot
    assert ready is not None
    answers, requests = len(app.live.answers.cache), len(ready._responses)
    line = (
        f"{VARIANTS:,} variants: {answers:,} answers, {requests:,} requests, {taken / 1e6:.1f} MB"
    )
    sys.stdout.write(line + "\n")
    assert app.live.answers.cache._bytes <= CACHE_BYTES
    assert taken <= CACHE_BYTES + 3_000 * len(ready._responses)
    await app.aclose()


async def test_the_answers_that_are_read_stay(store: ControlledStore) -> None:
    app = Application(store, live=LiveOptions(max_staleness=1_000, cache_bytes=30_000))
    await app.get(ORDERS)
    first = next(iter(app.live.answers.cache))
    for number in range(100):
        await app.get(f"/config/other{number}/prod")
        await app.get(ORDERS)
    assert app.live.answers.cache.find(first.request) is first
    assert len(app.live.answers.cache) < 20
    assert app.live.answers.cache._bytes <= 30_000
    await app.aclose()


async def test_what_is_watched_stays(store: ControlledStore) -> None:
    app = Application(store, live=LiveOptions(max_staleness=1_000, cache_bytes=30_000))
    await store.wrapped.save(bundle(n=1))
    held = app.hold(ORDERS, (await app.get(ORDERS)).tag)
    await app.held()
    for number in range(100):
        await app.get(f"/config/other{number}/prod")
    await store.wrapped.save(bundle(n=2))
    await app.look()
    assert (await soon(held)).sources == [{"n": 2}]
    await app.aclose()


async def test_more_watched_answers_than_fit_cost_little(store: ControlledStore) -> None:
    """Looking for something to drop would otherwise pass over all of them for every answer."""
    app = Application(store, live=LiveOptions(max_staleness=1_000, cache_bytes=10_000))
    held: list[asyncio.Task[Reply]] = []
    for number in range(100):
        target = f"/config/other{number}/prod"
        held.append(app.hold(target, (await app.get(target)).tag))
        await app.held(number + 1)
    steps, is_pinned = [0], app.live.answers.cache._is_pinned

    def counting(request: object) -> bool:
        steps[0] += 1
        return is_pinned(request)  # type: ignore[arg-type] # the type of every request

    app.live.answers.cache._is_pinned = counting
    for number in range(200, 300):
        await app.get(f"/config/other{number}/prod")
    assert steps[0] < 100 * 100
    await app.aclose()
    await asyncio.gather(*held)


# --- beginning and end ------------------------------------------------------------------------


async def test_closing_frees_everything(store: ControlledStore) -> None:
    before = asyncio.all_tasks()
    app = Application(ControlledStore(lacking=()), live=SELDOM)
    assert SupportsChangeHints not in store.lacking or store is not app.server.backends[0]
    tag = (await app.get(ORDERS)).tag
    held = [app.hold(ORDERS, tag) for _ in range(10)]
    await app.held(10)
    await app.aclose()
    assert {reply.status for reply in await soon(asyncio.gather(*held))} == {304}
    await until(lambda: asyncio.all_tasks() == before)
    assert len(app.live.answers.cache) == 0
    await app.aclose()


async def test_closing_answers_held_requests_without_the_store() -> None:
    """Its owner may close it at the same time."""
    app = Application(InMemoryConfigBackend())
    held = app.hold(ORDERS, (await app.get(ORDERS)).tag)
    await app.held()
    await app.aclose()
    await app.server.aclose()
    assert (await soon(held)).status == 304


async def test_a_request_after_closing_is_answered(app: Application) -> None:
    await app.get(ORDERS)
    await app.aclose()
    assert (await app.get(ORDERS)).sources == [{"n": 1}]


def test_one_event_loop_after_the_other() -> None:
    app = Application(InMemoryConfigBackend())

    async def serve(number: int) -> None:
        await app.server.backends[0].save(bundle(n=number))
        for _ in range(2):
            assert (await app.get(ORDERS)).sources == [{"n": number}]
        tag = (await app.get(ORDERS)).tag
        held = app.hold(ORDERS, tag)
        await app.held()
        await app.server.bundles.save(bundle(n=-number))
        assert (await soon(held)).sources == [{"n": -number}]
        if number == 1:
            await app.aclose()

    for number in (1, 2, 3):  # the second one ends without closing
        asyncio.run(serve(number))
