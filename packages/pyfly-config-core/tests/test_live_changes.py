"""Changes behind the back of the server: what they touch, and when they are seen."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from live_stores import SELDOM, Application, ControlledStore, Reply, bundle, soon, until

from pyfly.config_core import ConfigKey
from pyfly.config_server import InMemoryConfigBackend, LiveOptions, ServerOptions
from pyfly.config_server.storage import (
    ANY,
    ChangeBatch,
    EverythingChange,
    SupportsChangeHints,
    SupportsChanges,
)

pytestmark = pytest.mark.anyio

ORDERS = "/config/orders/prod"
NEXT = ConfigKey(application="other", profile="prod", label="next")


@pytest.fixture
def store() -> ControlledStore:
    return ControlledStore()


@pytest.fixture
def behind(store: ControlledStore) -> InMemoryConfigBackend:
    """The store as other processes write to it."""
    assert isinstance(store.wrapped, InMemoryConfigBackend)
    return store.wrapped


@pytest.fixture
async def app(store: ControlledStore, behind: InMemoryConfigBackend) -> AsyncIterator[Application]:
    app = Application(store)
    await behind.save(bundle(n=1))
    for _ in range(2):
        assert (await app.get(ORDERS)).sources == [{"n": 1}]
    yield app
    await app.aclose()


async def fresh(app: Application, target: str = ORDERS) -> Reply:
    """Return the answer after a look that begins now, from the hot path if possible."""
    await app.look()
    return await app.get(target)


async def test_only_a_look_shows_a_change(app: Application, behind: InMemoryConfigBackend) -> None:
    await behind.save(bundle(n=2))
    assert (await app.get(ORDERS)).sources == [{"n": 1}]
    assert (await fresh(app)).sources == [{"n": 2}]


async def test_no_cache_asks_for_a_look(app: Application, behind: InMemoryConfigBackend) -> None:
    await behind.save(bundle(n=2))
    assert (await app.get(ORDERS, cache_control="no-cache")).sources == [{"n": 2}]


async def test_another_entity_tag_asks_for_a_look(
    app: Application, behind: InMemoryConfigBackend
) -> None:
    await behind.save(bundle(n=2))
    reply = await app.get(ORDERS, if_none_match='"from-another-process"')
    assert reply.sources == [{"n": 2}]


async def test_a_look_that_began_earlier_is_not_enough(
    app: Application, store: ControlledStore, behind: InMemoryConfigBackend
) -> None:
    gate = store.hold("changes_since", after=True)
    looking = asyncio.create_task(app.look())
    await soon(gate.reached.wait())
    await behind.save(bundle(n=2))
    asking = asyncio.create_task(app.get(ORDERS, cache_control="no-cache"))
    await asyncio.sleep(0)
    store.release("changes_since")
    await soon(looking)
    assert (await soon(asking)).sources == [{"n": 2}]


@pytest.mark.parametrize(
    ("application", "profile"),
    [("orders", "default"), ("orders", "-"), ("application", "prod"), ("application", "-")],
)
async def test_a_bundle_that_was_absent_changes_the_document(
    app: Application, behind: InMemoryConfigBackend, application: str, profile: str
) -> None:
    await behind.save(bundle(application, profile, more=True))
    assert (await fresh(app)).sources == [{"n": 1}, {"more": True}]


async def test_other_bundles_do_not(
    app: Application, store: ControlledStore, behind: InMemoryConfigBackend
) -> None:
    reads = store.calls["fetch"]
    await behind.save(bundle("billing", n=1))
    await behind.save(bundle("orders", "eu", n=1))
    await behind.save(bundle(label="next", n=1))
    assert (await fresh(app)).sources == [{"n": 1}]
    assert store.calls["fetch"] == reads


async def test_a_label_that_was_absent(app: Application, behind: InMemoryConfigBackend) -> None:
    assert (await app.get(f"{ORDERS}/next")).status == 404
    await behind.save(bundle("other", label="next", n=1))
    assert (await fresh(app, f"{ORDERS}/next")).sources == []
    assert (await app.get(f"{ORDERS}/next")).status == 200
    await behind.delete(NEXT, expected=ANY)
    assert (await fresh(app, f"{ORDERS}/next")).status == 404


async def test_a_label_that_goes_during_a_composition(
    app: Application, store: ControlledStore, behind: InMemoryConfigBackend
) -> None:
    await behind.save(bundle("other", label="next", n=1))
    await app.look()
    gate = store.hold("has_label", after=True)
    composing = asyncio.create_task(app.get(f"{ORDERS}/next"))
    await soon(gate.reached.wait())
    del store.late_gates["has_label"]
    await behind.delete(NEXT, expected=ANY)
    await app.look()
    gate.open()
    await soon(composing)
    assert (await app.get(f"{ORDERS}/next")).status == 404


async def test_a_label_that_answers_disagree_about(
    store: ControlledStore, behind: InMemoryConfigBackend
) -> None:
    """One was made while the label existed, the other one after it had gone."""
    app = Application(store, options=ServerOptions(continue_on_label_failure=True))
    await behind.save(bundle("other", label="next", n=1))
    assert (await app.get(f"{ORDERS}/next")).status == 200
    await behind.delete(NEXT, expected=ANY)
    assert (await app.get(f"{ORDERS}/next,main")).status == 200
    assert (await fresh(app, f"{ORDERS}/next")).status == 404
    await app.aclose()


async def test_plain_files(app: Application, behind: InMemoryConfigBackend) -> None:
    path = f"{ORDERS}/main/nginx.conf"
    assert (await app.get(path)).status == 404
    behind.put_resource("main", "nginx.conf", b"one ${n}")
    assert (await fresh(app, path)).body == b"one 1"
    assert (await app.get(path)).body == b"one 1"
    behind.put_resource("main", "nginx-prod.conf", b"two ${n}")
    assert (await fresh(app, path)).body == b"two 1"
    await behind.save(bundle(n=3))
    assert (await fresh(app, path)).body == b"two 3"


async def test_everything(
    app: Application, store: ControlledStore, behind: InMemoryConfigBackend
) -> None:
    await behind.save(bundle(n=2))
    everything = ChangeBatch(cursor="later", changes=(EverythingChange(),))

    class Forgetful:
        async def changes_since(self, cursor: str | None) -> ChangeBatch:
            return everything

    app.live.feeds.stores[0]._changes = Forgetful()
    assert (await fresh(app)).sources == [{"n": 2}]


async def test_a_change_during_a_composition_is_not_lost(
    app: Application, store: ControlledStore, behind: InMemoryConfigBackend
) -> None:
    target = "/config/orders/prod,eu"
    gate = store.hold("fetch", after=True)
    composing = asyncio.create_task(app.get(target))
    await soon(gate.reached.wait())
    del store.late_gates["fetch"]
    await behind.save(bundle(n=2))
    await app.look()
    gate.open()
    await soon(composing)
    assert (await app.get(target)).sources == [{"n": 2}]


async def test_a_composition_that_was_overtaken_does_not_stay(
    app: Application, store: ControlledStore, behind: InMemoryConfigBackend
) -> None:
    """It ends after a newer one, which another bundle has caused, and before a change."""
    target = "/config/orders/prod,eu"
    gate = store.hold("fetch", after=True)
    overtaken = asyncio.create_task(app.get(target))
    await soon(gate.reached.wait())
    del store.late_gates["fetch"]
    await behind.save(bundle("billing", n=1))
    await app.look()
    assert (await soon(app.get(target))).sources == [{"n": 1}]
    gate.open()
    assert (await soon(overtaken)).sources == [{"n": 1}]
    await behind.save(bundle(n=2))
    for _ in range(2):
        assert (await fresh(app, target)).sources == [{"n": 2}]


async def test_a_failed_look_repeats_its_changes(
    app: Application, store: ControlledStore, behind: InMemoryConfigBackend
) -> None:
    """The store tells the changes, and then fails to tell about the label."""
    await behind.save(bundle(label="next", n=1))
    assert (await app.get(f"{ORDERS}/next")).status == 200
    await app.look()
    await behind.save(bundle(label="next", n=2))
    store.errors["has_label"] = OSError()
    await app.look()
    assert (await app.get(f"{ORDERS}/next")).is_stale
    del store.errors["has_label"]
    assert (await fresh(app, f"{ORDERS}/next")).sources == [{"n": 2}]


# --- stores that cannot tell their changes ----------------------------------------------------


@pytest.fixture
def silent() -> ControlledStore:
    return ControlledStore(lacking=(SupportsChanges, SupportsChangeHints))


async def test_without_changes_an_answer_is_good_for_some_time(silent: ControlledStore) -> None:
    app = Application(silent, live=SELDOM)
    await silent.wrapped.save(bundle(n=1))
    assert (await app.get(ORDERS)).sources == [{"n": 1}]
    reads = silent.calls["fetch"]
    for _ in range(10):
        assert (await app.get(ORDERS)).sources == [{"n": 1}]
    assert silent.calls["fetch"] == reads
    await silent.wrapped.save(bundle(n=2))
    assert (await app.get(ORDERS, cache_control="no-cache")).sources == [{"n": 2}]
    await app.server.bundles.save(bundle(n=3))
    assert (await app.get(ORDERS)).sources == [{"n": 3}]
    await app.aclose()


async def test_without_changes_an_answer_is_read_again_afterwards(silent: ControlledStore) -> None:
    app = Application(silent, live=LiveOptions(max_staleness=0.02))
    await silent.wrapped.save(bundle(n=1))
    assert (await app.get(ORDERS)).sources == [{"n": 1}]
    await silent.wrapped.save(bundle(n=2))
    reply = await app.get(ORDERS)
    async with asyncio.timeout(30):
        while reply.sources != [{"n": 2}]:
            await asyncio.sleep(0.005)
            reply = await app.get(ORDERS)
    await app.aclose()


async def test_without_changes_a_watcher_is_woken(silent: ControlledStore) -> None:
    """Nobody asks while it waits, and nobody asked when its wait began."""
    app = Application(silent, live=LiveOptions(max_staleness=0.2))
    await silent.wrapped.save(bundle(n=1))
    tag = (await app.get(ORDERS)).tag
    await until(lambda: not app.live.feeds.stores[0]._wanted.is_set())
    await asyncio.sleep(0.03)  # the feed is idle: the pause between two looks is over
    held = app.hold(ORDERS, tag)
    await app.held()
    await silent.wrapped.save(bundle(n=2))
    assert (await soon(held)).sources == [{"n": 2}]
    await app.aclose()


async def test_without_changes_and_watchers_nothing_is_read(silent: ControlledStore) -> None:
    app = Application(silent, live=LiveOptions(max_staleness=0.01))
    await app.get(ORDERS)
    reads, generation = silent.calls["fetch"], app.live.answers.cache.generation
    await asyncio.sleep(0.1)  # ten times as long as an answer is good
    assert (silent.calls["fetch"], app.live.answers.cache.generation) == (reads, generation)
    await app.aclose()
