"""Stores that fail, hang and come back, and bundles that do not parse."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from live_stores import SELDOM, Application, ControlledStore, bundle, soon, until

from pyfly.config_core import BackendUnavailableError, ConfigFormatError
from pyfly.config_server import FilesystemConfigBackend, LiveOptions, ServerOptions

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
    for _ in range(2):
        assert (await app.get(ORDERS)).sources == [{"n": 1}]
    yield app
    await app.aclose()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{LIVE}.feed._PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(f"{LIVE}.feed._TICK_SECONDS", 0.01)
    monkeypatch.setattr(f"{LIVE}.feed_group._LOOK_SECONDS", 0.01)
    monkeypatch.setattr(f"{LIVE}.feed_group._FRESH_SECONDS", 0.01)
    monkeypatch.setattr(f"{LIVE}.answers._COMPOSE_SECONDS", 0.01)
    monkeypatch.setattr(f"{LIVE}.answers._RETRY_SECONDS", 0.01)


# --- stores -----------------------------------------------------------------------------------


async def test_the_last_good_answer_is_served_and_marked(
    app: Application, store: ControlledStore
) -> None:
    store.take_away()
    await app.look()
    await app.get(ORDERS)
    reply = await app.get(ORDERS)
    assert reply.sources == [{"n": 1}]
    assert reply.is_stale
    known = await app.get(ORDERS, if_none_match=reply.tag)
    assert (known.status, known.is_stale) == (304, True)
    await store.wrapped.save(bundle(n=2))
    store.bring_back()
    await app.look()
    reply = await app.get(ORDERS)
    assert (reply.sources, reply.is_stale) == ([{"n": 2}], False)


async def test_a_store_that_is_back_is_read_at_once_after_a_failure(
    app: Application, store: ControlledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{LIVE}.answers._RETRY_SECONDS", 3600)
    await store.wrapped.save(bundle(n=2))
    await app.look()
    store.take_away()
    assert (await app.get(ORDERS)).is_stale  # it is composed, and that fails
    await app.look()
    store.bring_back()
    await app.look()
    reply = await app.get(ORDERS)
    assert (reply.sources, reply.is_stale) == ([{"n": 2}], False)


async def test_what_was_never_answered_is_an_error(
    app: Application, store: ControlledStore
) -> None:
    store.take_away()
    await app.look()
    for _ in range(2):
        assert (await app.get("/config/billing/prod")).status == 503
    store.bring_back()
    await app.look()
    assert (await app.get("/config/billing/prod")).status == 200


@pytest.mark.slow
async def test_a_store_that_is_away_is_looked_at_every_second_however_seldom_otherwise(
    app: Application, store: ControlledStore
) -> None:
    store.take_away()
    await app.look()
    assert app.live.feeds.is_down
    store.bring_back()
    await until(lambda: not app.live.feeds.is_down)  # without any request


@pytest.mark.usefixtures("impatient")
async def test_a_store_that_hangs_is_waited_for_once(
    app: Application, store: ControlledStore
) -> None:
    gate = store.hold("changes_since")
    app.live.feeds.stores[0].looked_at -= 2_000  # the last look is too long ago
    app.live.feeds.fresh_until -= 2_000
    for _ in range(3):
        reply = await soon(app.get(ORDERS))
        assert (reply.sources, reply.is_stale) == ([{"n": 1}], True)
    await store.wrapped.save(bundle(n=2))
    del store.gates["changes_since"]
    gate.open()
    await until(lambda: not app.live.feeds.is_down)
    assert (await app.get(ORDERS)).sources == [{"n": 2}]


@pytest.mark.usefixtures("impatient")
async def test_a_process_that_has_too_much_to_do_does_not_take_its_store_for_lost(
    app: Application, store: ControlledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{LIVE}.feed._LAG_SECONDS", -1.0)  # every tick comes too late
    store.hold("changes_since")
    app.live.feeds.stores[0].looked_at -= 2_000  # the last look is too long ago
    app.live.feeds.fresh_until -= 2_000
    assert (await soon(app.get(ORDERS))).is_stale
    assert not app.live.feeds.is_down
    store.release("changes_since")


@pytest.mark.usefixtures("impatient")
async def test_an_answer_is_marked_if_the_look_that_it_asked_for_does_not_end(
    app: Application, store: ControlledStore
) -> None:
    """The store is not late yet: it was looked at a moment ago."""
    store.hold("changes_since")
    assert not (await app.get(ORDERS)).is_stale
    assert (await soon(app.get(ORDERS, cache_control="no-cache"))).is_stale
    assert (await soon(app.get(ORDERS, if_none_match='"newer"'))).is_stale
    assert not (await app.get(ORDERS)).is_stale
    store.release("changes_since")


@pytest.mark.usefixtures("impatient")
async def test_a_document_that_cannot_be_read_again_in_time_is_marked(
    app: Application, store: ControlledStore
) -> None:
    """The store tells its changes, but reading hangs."""
    await store.wrapped.save(bundle(n=2))
    store.hold("fetch")
    app.live.feeds.stores[0].hint()
    await until(lambda: app.live.batches == 1)
    reply = await soon(app.get(ORDERS))
    assert (reply.sources, reply.is_stale) == ([{"n": 1}], True)
    assert app.live.counters.broken == 1
    store.release("fetch")
    await until(lambda: app.live.counters.broken == 0)
    reply = await app.get(ORDERS)
    assert (reply.sources, reply.is_stale) == ([{"n": 2}], False)


@pytest.mark.usefixtures("impatient")
async def test_before_the_first_look_documents_are_composed_but_not_kept() -> None:
    store = ControlledStore()
    gate = store.hold("changes_since")
    app = Application(store)
    await store.wrapped.save(bundle(n=1))
    assert (await soon(app.get(ORDERS))).sources == [{"n": 1}]
    await store.wrapped.save(bundle(n=2))
    assert (await soon(app.get(ORDERS))).sources == [{"n": 2}]
    assert not app.live.has_answers
    del store.gates["changes_since"]
    gate.open()
    await until(lambda: not app.live.feeds.is_down)
    await app.get(ORDERS)
    assert app.live.has_answers
    await app.aclose()


async def test_a_document_before_the_first_look_is_as_old_as_its_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The look takes long because the process has much to do, so the store is not away."""
    monkeypatch.setattr(f"{LIVE}.feed_group._LOOK_SECONDS", 0.01)
    store = ControlledStore()
    store.hold("changes_since")
    app = Application(store)
    await store.wrapped.save(bundle(n=1))
    reply = await soon(app.get(ORDERS))
    assert reply.sources == [{"n": 1}]
    assert not reply.is_stale
    store.release("changes_since")
    await app.aclose()


@pytest.mark.usefixtures("impatient")
async def test_before_the_first_look_requests_share_compositions() -> None:
    store = ControlledStore()
    store.hold("changes_since")
    app = Application(store)
    await store.wrapped.save(bundle(n=1))
    await soon(app.get(ORDERS))
    reads = store.calls["fetch"]
    gate = store.hold("fetch")
    asking = [asyncio.create_task(app.get(ORDERS)) for _ in range(20)]
    await soon(gate.reached.wait())
    for _ in range(5):
        await asyncio.sleep(0)
    store.release("fetch")
    replies = await soon(asyncio.gather(*asking))
    assert all(reply.sources == [{"n": 1}] for reply in replies)
    assert store.calls["fetch"] == 2 * reads
    store.release("changes_since")
    await app.aclose()


async def test_a_third_party_store_may_raise_anything(
    app: Application, store: ControlledStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.errors["*"] = RuntimeError("secret")
    await app.look()
    reply = await app.get(ORDERS)
    assert (reply.sources, reply.is_stale) == ([{"n": 1}], True)
    assert (await app.get("/config/billing/prod")).status == 500
    assert "secret" not in caplog.text
    del store.errors["*"]
    await app.look()
    assert not (await app.get(ORDERS)).is_stale


# --- several stores ---------------------------------------------------------------------------


@pytest.mark.parametrize("is_strict", [True, False])
async def test_one_of_two_stores_is_away(store: ControlledStore, *, is_strict: bool) -> None:
    second = ControlledStore()
    options = ServerOptions(fail_on_composite_error=is_strict)
    app = Application(store, second, options=options)
    await store.wrapped.save(bundle(n=1))
    await second.wrapped.save(bundle(n=2))
    assert (await app.get(ORDERS)).sources == [{"n": 1}, {"n": 2}]
    second.take_away()
    await app.look()
    reply = await app.get(ORDERS)
    assert (reply.sources, reply.is_stale) == ([{"n": 1}, {"n": 2}], True)
    other = await app.get("/config/orders/prod,eu")
    assert other.status == (503 if is_strict else 200)
    if not is_strict:
        assert other.sources == [{"n": 1}]
        assert len(app.live.answers.cache) == 1
    second.bring_back()
    await app.look()
    for target in (ORDERS, "/config/orders/prod,eu"):
        reply = await app.get(target)
        assert (reply.sources, reply.is_stale) == ([{"n": 1}, {"n": 2}], False)
    await app.aclose()


async def test_a_store_that_fails_during_a_composition_leaves_the_last_whole_answer(
    store: ControlledStore,
) -> None:
    second = ControlledStore()
    options = ServerOptions(fail_on_composite_error=False)
    app = Application(store, second, options=options)
    await store.wrapped.save(bundle(n=1))
    await second.wrapped.save(bundle(n=2))
    assert (await app.get(ORDERS)).sources == [{"n": 1}, {"n": 2}]
    second.errors["fetch"] = OSError()
    await store.wrapped.save(bundle(n=3))
    await app.look()
    reply = await app.get(ORDERS)
    assert (reply.sources, reply.is_stale) == ([{"n": 1}, {"n": 2}], True)
    await app.aclose()


# --- bundles ----------------------------------------------------------------------------------


@pytest.fixture
def broken(write: Callable[..., Path]) -> Callable[[], Path]:
    return lambda: write("main/orders-prod.yaml", "n: [")


@pytest.mark.parametrize(("on_broken", "status"), [("stale", 200), ("fail", 500)])
async def test_a_broken_bundle(
    tmp_path: Path,
    write: Callable[..., Path],
    broken: Callable[[], Path],
    on_broken: str,
    status: int,
) -> None:
    write("main/orders-prod.yaml", "n: 1")
    options = LiveOptions(max_staleness=1_000, on_broken=on_broken)  # type: ignore[arg-type] # a text
    app = Application(FilesystemConfigBackend(tmp_path), live=options)
    assert (await app.get(ORDERS)).sources == [{"n": 1}]
    broken()
    for _ in range(2):
        reply = await app.get(ORDERS, cache_control="no-cache")
        assert (reply.status, reply.is_stale) == (status, status == 200)
        assert (await app.get(ORDERS)).status == status
    assert (await app.get("/config/orders/prod,eu")).status == 500
    assert app.live.counters.broken == 1
    write("main/orders-prod.yaml", "n: 2")
    reply = await app.get(ORDERS, cache_control="no-cache")
    assert (reply.sources, reply.is_stale) == ([{"n": 2}], False)
    assert app.live.counters.broken == 0
    await app.aclose()


async def test_a_broken_bundle_does_not_disturb_other_documents(
    tmp_path: Path, write: Callable[..., Path], broken: Callable[[], Path]
) -> None:
    write("main/orders-prod.yaml", "n: 1")
    write("main/billing-prod.yaml", "n: 1")
    app = Application(FilesystemConfigBackend(tmp_path), live=SELDOM)
    assert (await app.get(ORDERS)).sources == [{"n": 1}]
    broken()
    write("main/billing-prod.yaml", "n: 2")
    reply = await app.get("/config/billing/prod", cache_control="no-cache")
    assert (reply.sources, reply.is_stale) == ([{"n": 2}], False)
    await app.aclose()


async def test_an_error_of_an_overtaken_composition_is_no_error_of_the_newer_one(
    app: Application, store: ControlledStore
) -> None:
    await store.wrapped.save(bundle(n=2))
    await app.look()
    gate = store.hold("fetch")
    store.errors["fetch"] = ConfigFormatError("broken")
    overtaken = asyncio.create_task(app.get(ORDERS))
    await soon(gate.reached.wait())
    del store.gates["fetch"], store.errors["fetch"]
    await store.wrapped.save(bundle(n=3))
    await app.look()
    assert (await soon(app.get(ORDERS))).sources == [{"n": 3}]
    store.errors["fetch"] = ConfigFormatError("broken")
    gate.open()
    reply = await soon(overtaken)
    assert (reply.sources, reply.is_stale) == ([{"n": 3}], False)
    assert app.live.counters.broken == 0


# --- errors are not answers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "status"),
    [("/config/orders/prod/absent", 404), ("/config/orders/prod/main/absent.txt", 404)],
)
async def test_absence_is_not_kept(app: Application, target: str, status: int) -> None:
    entries = len(app.live.answers.cache)
    for _ in range(2):
        assert (await app.get(target)).status == status
    assert len(app.live.answers.cache) == entries


async def test_errors_are_not_kept(app: Application, store: ControlledStore) -> None:
    store.errors["fetch"] = BackendUnavailableError("the store is away")
    assert (await app.get("/config/billing/prod")).status == 503
    del store.errors["fetch"]
    assert (await app.get("/config/billing/prod")).status == 200
