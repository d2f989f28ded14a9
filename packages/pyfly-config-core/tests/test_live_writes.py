"""The writes of a process are visible in it at once, without a look at the store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from live_stores import SELDOM, Application, ControlledStore, bundle, soon

from pyfly.config_core import BackendUnavailableError, ConfigKey
from pyfly.config_server import FilesystemConfigBackend, InMemoryConfigBackend
from pyfly.config_server.storage import ANY

pytestmark = pytest.mark.anyio

ORDERS = "/config/orders/prod"
KEY = ConfigKey(application="orders", profile="prod", label="main")


@pytest.fixture
def store() -> ControlledStore:
    return ControlledStore()


@pytest.fixture
async def app(store: ControlledStore) -> AsyncIterator[Application]:
    app = Application(store)
    await app.server.bundles.save(bundle(n=1))
    assert (await app.get(ORDERS)).sources == [{"n": 1}]
    assert (await app.get(ORDERS)).sources == [{"n": 1}]  # from the hot path
    yield app
    await app.aclose()


async def test_a_save_is_visible_at_once(app: Application, store: ControlledStore) -> None:
    looks = store.calls["changes_since"]
    await app.server.bundles.save(bundle(n=2))
    assert (await app.get(ORDERS)).sources == [{"n": 2}]
    assert store.calls["changes_since"] == looks


async def test_a_new_bundle_of_the_document_is_visible_at_once(app: Application) -> None:
    await app.server.bundles.save(bundle("application", "-", shared=True))
    await app.server.bundles.save(bundle("orders", "default", given=True))
    assert (await app.get(ORDERS)).sources == [{"n": 1}, {"given": True}, {"shared": True}]


async def test_a_removal_is_visible_at_once(app: Application) -> None:
    await app.server.bundles.delete(KEY, expected=ANY)
    assert (await app.get(ORDERS)).sources == []


async def test_a_label_is_gone_with_its_last_bundle(app: Application) -> None:
    """The document under the label was made of another bundle, which was absent."""
    await app.server.bundles.save(bundle("other", label="next", n=1))
    assert (await app.get(f"{ORDERS}/next")).status == 200
    key = ConfigKey(application="other", profile="prod", label="next")
    await app.server.bundles.delete(key, expected=ANY)
    assert (await app.get(f"{ORDERS}/next")).status == 404
    await app.server.bundles.save(bundle("other", label="next", n=1))
    assert (await app.get(f"{ORDERS}/next")).status == 200


async def test_a_label_that_goes_during_a_composition_is_gone(
    app: Application, store: ControlledStore
) -> None:
    await app.server.bundles.save(bundle("other", label="next", n=1))
    gate = store.hold("has_label", after=True)
    composing = asyncio.create_task(app.get(f"{ORDERS}/next"))
    await soon(gate.reached.wait())
    del store.late_gates["has_label"]
    key = ConfigKey(application="other", profile="prod", label="next")
    await app.server.bundles.delete(key, expected=ANY)
    gate.open()
    assert (await soon(composing)).status in {200, 404}  # it was asked before
    assert (await app.get(f"{ORDERS}/next")).status == 404


async def test_a_write_during_a_composition_is_in_the_next_answer(
    app: Application, store: ControlledStore
) -> None:
    gate = store.hold("fetch", after=True)
    composing = asyncio.create_task(app.get("/config/orders/prod,eu"))
    await soon(gate.reached.wait())
    del store.late_gates["fetch"]
    await app.server.bundles.save(bundle(n=2))
    assert (await soon(app.get("/config/orders/prod,eu"))).sources == [{"n": 2}]
    gate.open()
    assert (await soon(composing)).status == 200
    assert (await app.get("/config/orders/prod,eu")).sources == [{"n": 2}]


async def test_a_write_that_failed_may_have_taken_effect(
    app: Application, store: ControlledStore
) -> None:
    await store.wrapped.save(bundle(n=2))
    store.errors["commit"] = BackendUnavailableError("no answer to the commit")
    with pytest.raises(BackendUnavailableError):
        await app.server.bundles.commit(bundle(n=2), expected=ANY)
    assert (await app.get(ORDERS)).sources == [{"n": 2}]


async def test_a_cancelled_write_may_have_taken_effect(
    app: Application, store: ControlledStore
) -> None:
    gate = store.hold("save", after=True)
    saving = asyncio.create_task(app.server.bundles.save(bundle(n=2)))
    await soon(gate.reached.wait())
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert (await app.get(ORDERS)).sources == [{"n": 2}]


async def test_a_write_is_answered_although_the_store_hangs_afterwards(
    app: Application, store: ControlledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyfly.config_server.live.feeds._LABEL_SECONDS", 0.01)
    store.hold("has_label")
    await soon(app.server.bundles.save(bundle(n=2)))
    assert (await soon(app.get(ORDERS))).sources == [{"n": 2}]


async def test_a_write_in_another_event_loop_is_visible_when_it_returns(app: Application) -> None:
    await asyncio.to_thread(asyncio.run, app.server.bundles.save(bundle(n=2)))
    assert (await app.get(ORDERS)).sources == [{"n": 2}]


def test_a_write_after_the_event_loop_has_ended_is_visible_in_the_next_one() -> None:
    app = Application(InMemoryConfigBackend())

    async def first() -> None:
        await app.server.bundles.save(bundle(n=1))
        for _ in range(2):
            assert (await app.get(ORDERS)).sources == [{"n": 1}]
        await app.aclose()

    async def second() -> None:
        await app.server.bundles.save(bundle(n=2))
        assert (await app.get(ORDERS)).sources == [{"n": 2}]
        await app.aclose()

    asyncio.run(first())
    asyncio.run(second())


@pytest.mark.parametrize("document", ["/config/a-b/prod", "/config/a/b"])
async def test_a_file_that_is_read_as_two_bundles_changes_both(
    tmp_path: Path, document: str
) -> None:
    """`a-b.yaml` is the bundle of `a` with the profile `b`, and the base bundle of `a-b`."""
    app = Application(FilesystemConfigBackend(tmp_path), live=SELDOM)
    await app.server.save("a", "b", {"n": 1})
    for _ in range(2):
        assert (await app.get(document)).sources == [{"n": 1}]
    await app.server.save("a", "b", {"n": 2})
    assert (await app.get(document)).sources == [{"n": 2}]
    await app.aclose()
