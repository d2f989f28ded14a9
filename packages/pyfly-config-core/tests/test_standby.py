"""The standby: what a store returned is served from the disk while the store is away."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standby_stores import Switch, quick, records, written

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendUnavailableError,
    ConfigFormatError,
    ConfigKey,
    JsonValue,
    UnsupportedOperationError,
)
from pyfly.config_server import (
    ConfigBackend,
    ConfigServer,
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
)
from pyfly.config_server.files import SpringLayout
from pyfly.config_server.live import standby_recorder
from pyfly.config_server.live.standby import StandbyBackend
from pyfly.config_server.live.standby_records import RecordKey
from pyfly.config_server.storage import (
    ANY,
    ConfigDocument,
    ConfigSnapshot,
    SupportsBatchFetch,
    SupportsChanges,
    SupportsClose,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsHistory,
    SupportsKeys,
    SupportsLabels,
    SupportsResources,
    SupportsSnapshots,
    ability,
)
from pyfly.config_server.testing import WrapperConformance
from pyfly.config_server.testing._wrapped import CompleteBackend

pytestmark = pytest.mark.anyio

ORDERS = ConfigKey(application="orders", profile="prod")
NAMES = ("orders", "prod", "main")


def bundle(application: str = "orders", **properties: JsonValue) -> ConfigSource:
    return ConfigSource(application=application, profile="prod", properties=properties or {"a": 1})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "standby"


@pytest.fixture
def inner() -> CompleteBackend:
    return CompleteBackend()


@pytest.fixture
def store(inner: CompleteBackend) -> Switch:
    return Switch(inner)


@pytest.fixture
async def restart(directory: Path) -> AsyncIterator[Callable[..., StandbyBackend]]:
    """Open the standby as a new process does; close all of them at the end."""
    opened: list[StandbyBackend] = []

    def start(backend: ConfigBackend, **options: int) -> StandbyBackend:
        opened.append(StandbyBackend(backend, directory, store="one", **options))
        return opened[-1]

    yield start
    for one in opened:
        await one._recorder.aclose()
        await one._readers.close(deadline=0)
        one._files.close()


Restart = Callable[..., StandbyBackend]


class TestConformance(WrapperConformance):
    own_abilities = frozenset({SupportsClose})

    @pytest.fixture
    async def backend(self, wrapped: ConfigBackend, tmp_path: Path) -> AsyncIterator[ConfigBackend]:
        standby = StandbyBackend(wrapped, tmp_path / "standby")
        yield standby
        await standby.aclose()


# --- reading --------------------------------------------------------------------------


async def test_a_bundle_is_served_after_a_restart_without_the_store(
    restart: Restart, store: Switch
) -> None:
    await store.save(bundle(url="jdbc:x", nested={"list": [1, 2.5, None, True, "ü"]}))
    found = await (first := restart(store)).fetch(*NAMES)
    await written(first)
    store.take_away()
    assert await restart(store).fetch(*NAMES) == found
    assert found is not None


async def test_a_known_absence_is_an_answer(restart: Restart, store: Switch) -> None:
    first = restart(store)
    assert await first.fetch(*NAMES) is None
    await written(first)
    store.take_away()
    assert await restart(store).fetch(*NAMES) is None


async def test_what_was_never_read_raises_the_error_of_the_store(
    restart: Restart, store: Switch
) -> None:
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    store.take_away()
    with pytest.raises(BackendUnavailableError) as error:
        await standby.fetch("billing", "prod")
    assert error.value is store.error


async def test_several_bundles_need_an_answer_for_each(restart: Restart, store: Switch) -> None:
    await store.save(bundle())
    other = replace(ORDERS, application="billing")
    standby = restart(store)
    found = await standby.fetch_many([ORDERS, other])
    await written(standby)
    store.take_away()
    assert await standby.fetch_many([other, ORDERS]) == [None, found[0]]
    with pytest.raises(BackendUnavailableError):
        await standby.fetch_many([ORDERS, replace(ORDERS, profile="dev")])


async def test_a_snapshot_is_kept_whole_with_its_version(restart: Restart, store: Switch) -> None:
    keys = [ORDERS, replace(ORDERS, application="billing")]
    await store.save(bundle(a=1))
    standby = restart(store)
    first = await standby.fetch_snapshot(keys)
    await written(standby)
    await store.wrapped.save(bundle(a=2))
    newer = await standby.fetch(*NAMES)
    await written(standby)
    store.take_away()
    assert await standby.fetch(*NAMES) == newer
    assert await standby.fetch_snapshot(keys) == first
    assert await standby.fetch("billing", "prod") is None
    with pytest.raises(BackendUnavailableError):
        await standby.fetch_snapshot(keys[::-1])


async def test_labels_and_plain_files_are_kept(
    restart: Restart, store: Switch, inner: CompleteBackend
) -> None:
    inner.put_resource("main", "nginx.conf", b"\0\n\xff plain")
    standby = restart(store)
    labels = [await standby.has_label(label) for label in ("main", "absent")]
    found = await standby.open_resource("main", "nginx.conf")
    assert await standby.open_resource("main", "absent.txt") is None
    await written(standby)
    store.take_away()
    again = restart(store)
    assert [await again.has_label(label) for label in ("main", "absent")] == labels == [True, False]
    assert await again.open_resource("main", "nginx.conf") == found
    assert await again.open_resource("main", "absent.txt") is None
    for missing in (again.has_label("other"), again.open_resource("main", "other.txt")):
        with pytest.raises(BackendUnavailableError):
            await missing


async def test_files_with_several_documents_and_places_are_kept_as_they_were(
    restart: Restart, tmp_path: Path
) -> None:
    root = tmp_path / "files"
    root.mkdir()
    (root / "orders.yml").write_text("a: 1\n---\nb: '{cipher}AQ'\n", encoding="utf-8")
    (root / "orders.properties").write_text("c=3\n", encoding="utf-8")
    (root / "empty.yml").write_text("", encoding="utf-8")
    store = Switch(FilesystemConfigBackend(root, layout=SpringLayout()))
    standby = restart(store)
    names = [(one, "-", "main") for one in ("orders", "empty")]
    found = [await standby.fetch(*one) for one in names]
    await written(standby)
    store.take_away()
    assert [await restart(store).fetch(*one) for one in names] == found
    assert found[0] is not None
    assert len(found[0].documents) == 3
    assert any(one.origins for one in found[0].documents)
    await store.wrapped.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "source",
    [
        bundle(),
        replace(bundle(), version="7", size=12, resource="orders-prod.yaml"),
        replace(
            bundle(a=1),
            documents=(
                ConfigDocument(properties={"a": 2}, origins={"a": "1:1"}, resource="x.yml"),
                ConfigDocument(properties={"a": float("inf")}, place=3),
            ),
        ),
        replace(bundle(a=1), documents=(ConfigDocument(properties={"a": 2}),)),
        bundle(big=10**300, text="\u2028 \U0001f600", empty={}, lists=[[], [{}]]),
    ],
)
async def test_every_field_of_a_bundle_is_kept(
    restart: Restart, store: Switch, source: ConfigSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(*names: str) -> ConfigSource:
        return source

    monkeypatch.setattr(store.wrapped, "fetch", fetch)
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    store.take_away()
    found = await standby.fetch(*NAMES)
    assert found is not None
    assert found == source
    assert found.content == source.content
    assert found.size == source.size
    assert [*found.properties] == [*source.properties]


@pytest.mark.parametrize(
    "error", [ConfigFormatError("broken"), BackendAccessDeniedError("refused"), KeyError("bug")]
)
async def test_other_errors_are_those_of_the_store(
    restart: Restart, store: Switch, error: Exception
) -> None:
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    store.error = error
    with pytest.raises(type(error)):
        await standby.fetch(*NAMES)


async def test_what_is_no_read_fails_as_the_store_does(restart: Restart, store: Switch) -> None:
    standby = restart(store)
    await standby.fetch(*NAMES)
    store.take_away()
    history, labels = ability(standby, SupportsHistory), ability(standby, SupportsLabels)
    changes, writer = ability(standby, SupportsChanges), ability(standby, SupportsConditionalSave)
    remover = ability(standby, SupportsDelete)
    assert history
    assert labels
    assert changes
    assert writer
    assert remover
    for call in (
        standby.save(bundle()),
        standby.list(),
        history.history(ORDERS),
        labels.labels(),
        changes.changes_since(None),
        writer.commit(bundle(), expected=ANY),
        remover.delete(ORDERS, expected=ANY),
    ):
        with pytest.raises(BackendUnavailableError):
            await call


async def test_the_documents_of_a_server_are_the_same_without_the_store(
    restart: Restart, store: Switch
) -> None:
    for name in ("orders", "application"):
        await store.save(bundle(name, **{f"{name}.x": "${x}", "secret": "{cipher}AQ"}))
    standby = restart(store)
    document = await ConfigServer(standby).fetch("orders", "prod")
    await written(standby)
    store.take_away()
    assert await ConfigServer(restart(store)).fetch("orders", "prod") == document


async def test_a_store_with_three_methods_has_a_standby(
    restart: Restart, inner: CompleteBackend
) -> None:
    kinds = (SupportsBatchFetch, SupportsChanges, SupportsLabels, SupportsSnapshots)
    store = Switch(inner, lacking=frozenset(kinds))
    await store.save(bundle())
    standby = restart(store)
    assert all(ability(standby, kind) is None for kind in kinds)
    found = await standby.fetch(*NAMES)
    await written(standby)
    store.take_away()
    assert await restart(store).fetch(*NAMES) == found


# --- the age --------------------------------------------------------------------------


async def test_an_answer_from_the_disk_has_the_time_when_it_was_read(
    restart: Restart, store: Switch
) -> None:
    standby = restart(store)
    before = datetime.now(UTC)
    await standby.fetch(*NAMES)
    after = datetime.now(UTC)
    assert standby.stale_since is None
    await written(standby)
    store.take_away()
    again = restart(store)
    await again.fetch(*NAMES)
    assert again.stale_since is not None
    assert before - timedelta(milliseconds=1) <= again.stale_since <= after
    assert again.stale_since.tzinfo is UTC
    store.bring_back()
    await again.fetch(*NAMES)
    assert again.stale_since is None


async def test_several_answers_have_the_time_of_the_oldest(
    restart: Restart, store: Switch, directory: Path
) -> None:
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    (old,) = records(directory)
    os.utime(old, (1000, 1000))
    await standby.fetch("billing", "prod")
    await written(standby)
    store.take_away()
    await standby.fetch("billing", "prod")
    assert standby.stale_since is not None
    assert standby.stale_since.year > 2000
    await standby.fetch(*NAMES)
    await standby.fetch("billing", "prod")
    assert standby.stale_since == datetime.fromtimestamp(1000, UTC)


async def test_a_time_in_the_future_is_the_present(
    restart: Restart, store: Switch, directory: Path
) -> None:
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    future = time.time() + 10**8
    os.utime(records(directory)[0], (future, future))
    store.take_away()
    await standby.fetch(*NAMES)
    assert standby.stale_since is not None
    assert standby.stale_since <= datetime.now(UTC)
    store.bring_back()
    await store.save(bundle(a=2))
    standby._recorder._seen.clear()
    found = await standby.fetch(*NAMES)
    await written(standby)
    store.take_away()
    assert await standby.fetch(*NAMES) == found


# --- what is kept ---------------------------------------------------------------------


async def test_what_the_store_has_removed_is_removed(
    restart: Restart, store: Switch, inner: InMemoryConfigBackend
) -> None:
    await inner.save(bundle())
    await inner.save(bundle("billing"))
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    await inner.delete(ORDERS, expected=ANY)
    assert await standby.fetch(*NAMES) is None
    await written(standby)
    store.take_away()
    assert await restart(store).fetch(*NAMES) is None


async def test_an_absence_is_kept_only_after_a_later_look_at_the_store(
    restart: Restart, store: Switch, inner: CompleteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell an absence from a volume that was unmounted a moment ago."""
    await inner.save(bundle())
    await inner.save(bundle("billing"))
    standby = restart(store)
    found = await standby.fetch(*NAMES)
    await written(standby)

    async def absent(*_: str) -> None:
        store.take_away()

    monkeypatch.setattr(inner, "fetch", absent)
    standby._recorder._seen.clear()
    assert await standby.fetch(*NAMES) is None
    await written(standby)
    assert store.calls[-1] == "changes_since"
    assert await restart(store).fetch(*NAMES) == found


async def test_a_read_that_failed_in_between_drops_what_was_not_confirmed(
    restart: Restart, store: Switch, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby_recorder, "PAUSE_SECONDS", 60.0)
    standby = restart(store)
    await standby.fetch(*NAMES)
    store.take_away()
    with pytest.raises(BackendUnavailableError):
        await standby.fetch("billing", "prod")
    store.bring_back()
    await standby._recorder.aclose()
    assert records(directory) == []


async def test_the_looks_of_others_confirm_what_was_read_before(
    restart: Restart, store: Switch, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby_recorder, "LOOK_SECONDS", 600.0)
    standby = restart(store)
    await standby.changes_since(None)
    await standby.fetch(*NAMES)
    await asyncio.sleep(0.05)
    assert records(directory) == []
    await standby.changes_since(None)
    await written(standby)
    assert len(records(directory)) == 1
    assert store.calls.count("changes_since") == 2


async def test_a_store_without_changes_confirms_by_the_read_itself(
    restart: Restart, inner: CompleteBackend, directory: Path
) -> None:
    store = Switch(inner, lacking=frozenset({SupportsChanges}))
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    assert len(records(directory)) == 1
    assert "changes_since" not in store.calls


async def test_changes_that_are_refused_count_as_lacking(
    restart: Restart, store: Switch, inner: CompleteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(cursor: str | None) -> None:
        raise UnsupportedOperationError("a store", "changes")

    monkeypatch.setattr(inner, "changes_since", refuse)
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    store.take_away()
    assert await standby.fetch(*NAMES) is None


async def test_a_store_that_is_empty_at_a_start_but_was_not_before_is_away(
    restart: Restart, tmp_path: Path
) -> None:
    """The directory of an unmounted volume is empty."""
    volume = tmp_path / "volume"
    (volume / "main").mkdir(parents=True)
    (volume / "main" / "orders-prod.yaml").write_text("a: 1\n", encoding="utf-8")
    store = Switch(FilesystemConfigBackend(volume))
    standby = restart(store)
    found = await standby.fetch(*NAMES)
    await standby.has_label("main")
    await written(standby)
    await store.wrapped.aclose()  # type: ignore[attr-defined]
    (volume / "main").rename(tmp_path / "elsewhere")
    store = Switch(FilesystemConfigBackend(volume))  # does not know that there were labels
    again = restart(store)
    for _ in range(2):
        assert await again.fetch(*NAMES) == found
        assert await again.has_label("main") is True
        assert again.stale_since is not None
        with pytest.raises(BackendUnavailableError, match=f"remove {tmp_path}.* and restart"):
            await again.fetch("other", "prod")
        await written(again)
    (tmp_path / "elsewhere").rename(volume / "main")
    assert await again.fetch(*NAMES) == found
    assert again.stale_since is None
    await store.wrapped.aclose()  # type: ignore[attr-defined]


async def test_a_store_of_which_only_absences_are_kept_may_be_empty(
    restart: Restart, tmp_path: Path
) -> None:
    (tmp_path / "volume" / "main").mkdir(parents=True)
    for remove in (True, False):
        store = Switch(FilesystemConfigBackend(tmp_path / "volume"))
        standby = restart(store)
        assert await standby.fetch(*NAMES) is None
        await written(standby)
        await store.wrapped.aclose()  # type: ignore[attr-defined]
        if remove:
            (tmp_path / "volume" / "main").rmdir()


async def test_a_store_that_removed_its_last_bundle_is_empty_after_a_restart(
    restart: Restart, tmp_path: Path
) -> None:
    (tmp_path / "volume").mkdir()
    store = Switch(FilesystemConfigBackend(tmp_path / "volume"))
    standby = restart(store)
    await standby.save(bundle())
    await standby.save(bundle("other"))
    for application in ("orders", "other"):
        assert await standby.fetch(application, "prod") is not None
    await written(standby)
    await standby.delete(ORDERS, expected=ANY)
    await written(standby)
    await store.wrapped.delete(bundle("other").key, expected=ANY)  # type: ignore[attr-defined]
    await store.wrapped.aclose()  # type: ignore[attr-defined]
    again = restart(Switch(FilesystemConfigBackend(tmp_path / "volume")))
    assert await again.fetch(*NAMES) is None


@pytest.mark.parametrize("how", ["save", "commit", "delete"])
async def test_a_write_through_this_process_updates_what_is_kept(
    restart: Restart, store: Switch, how: str
) -> None:
    await store.save(bundle(a=1))
    await store.save(bundle("billing"))
    standby = restart(store)
    await standby.fetch_snapshot([ORDERS])
    await standby.fetch(*NAMES)
    await written(standby)
    if how == "save":
        await standby.save(bundle(a=2))
    elif how == "commit":
        await standby.commit(bundle(a=2), expected=ANY)
    else:
        await standby.delete(ORDERS, expected=ANY)
    await written(standby)
    now = await store.fetch(*NAMES)
    store.take_away()
    again = restart(store)
    assert await again.fetch(*NAMES) == now
    with pytest.raises(BackendUnavailableError):
        await again.fetch_snapshot([ORDERS])


async def test_a_write_before_an_outage_leaves_nothing_old(restart: Restart, store: Switch) -> None:
    await store.save(bundle(a=1))
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    await standby.save(bundle(a=2))
    store.take_away()
    await written(standby)
    with pytest.raises(BackendUnavailableError):
        await restart(store).fetch(*NAMES)


async def test_a_read_that_began_before_a_write_is_not_kept(
    restart: Restart, store: Switch, inner: CompleteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.save(bundle(a=1))
    standby = restart(store)
    fetch, late = inner.fetch, asyncio.Event()

    async def slow(*names: str) -> ConfigSource | None:
        found = await fetch(*names)
        await late.wait()
        return found

    monkeypatch.setattr(inner, "fetch", slow)
    reading = asyncio.ensure_future(standby.fetch(*NAMES))
    await asyncio.sleep(0)
    await standby.save(bundle(a=2))
    late.set()
    old = await reading
    assert old is not None
    assert old.properties == {"a": 1}
    await written(standby)
    store.take_away()
    kept = await standby.fetch(*NAMES)
    assert kept is not None
    assert kept.properties == {"a": 2}


async def test_a_refused_write_forgets_nothing(restart: Restart, store: Switch) -> None:
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    store.take_away()
    with pytest.raises(BackendUnavailableError):
        await standby.save(bundle())
    assert await standby.fetch(*NAMES) is None


async def test_an_unchanged_result_is_not_written_again(
    restart: Restart, store: Switch, directory: Path
) -> None:
    await store.save(bundle())
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    (path,) = records(directory)
    os.utime(path, (1000, 1000))
    first = path.stat()
    standby._recorder._seen.clear()
    await standby.fetch(*NAMES)
    await written(standby)
    again = restart(store)  # knows nothing about the file
    await again.fetch(*NAMES)
    await written(again)
    second = path.stat()
    assert second.st_ino == first.st_ino
    assert second.st_mtime > 10**9


async def test_the_same_result_is_noted_once_in_a_while(restart: Restart, store: Switch) -> None:
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    for _ in range(3):
        await standby.fetch(*NAMES)
        assert standby._recorder._waiting == {}


async def test_closing_writes_what_was_read(
    directory: Path, store: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby_recorder, "PAUSE_SECONDS", 600.0)
    standby = StandbyBackend(store, directory)
    await standby.fetch(*NAMES)
    await standby.aclose()
    await standby.aclose()
    assert len(records(directory)) == 1
    with pytest.raises(BackendUnavailableError):
        await standby.fetch(*NAMES)


async def test_another_store_does_not_get_what_was_kept(
    restart: Restart, store: Switch, directory: Path
) -> None:
    standby = restart(store)
    await standby.fetch(*NAMES)
    await written(standby)
    store.take_away()
    other = StandbyBackend(store, directory, store="two")
    with pytest.raises(BackendUnavailableError):
        await other.fetch(*NAMES)
    (path,) = records(directory)
    moved = other._files.path / RecordKey.of_bundle(ORDERS).file_name(other._shelf._store)
    moved.write_bytes(path.read_bytes())
    moved.chmod(0o600)
    with pytest.raises(BackendUnavailableError):
        await other.fetch(*NAMES)
    await other.aclose()


async def test_the_limit_of_bytes_removes_the_least_recently_confirmed(
    restart: Restart, store: Switch, inner: CompleteBackend, directory: Path
) -> None:
    limit = 20 * 4096
    standby = restart(store, max_bytes=limit)
    names = [f"app{number}" for number in range(30)]
    for name in names:
        await inner.save(bundle(name, text="x" * 5000))
        await standby.fetch(name, "prod")
        await written(standby)
        assert sum(path.stat().st_size for path in records(directory)) <= limit
    store.take_away()
    kept = [name for name in names if await _has(standby, name)]
    assert kept == names[-len(kept) :]
    assert len(kept) >= 5


async def _has(standby: StandbyBackend, name: str) -> bool:
    try:
        return await standby.fetch(name, "prod") is not None
    except BackendUnavailableError:
        return False


async def test_a_result_that_is_too_large_is_not_kept(
    restart: Restart, store: Switch, inner: CompleteBackend, directory: Path
) -> None:
    inner.put_resource("main", "large.bin", b"x" * 50_000)
    standby = restart(store, max_bytes=40_000)
    await standby.open_resource("main", "large.bin")
    await written(standby)
    assert records(directory) == []


async def test_repr_and_log_show_no_value(
    restart: Restart, store: Switch, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await store.save(bundle(password="hunter2"))
    standby = restart(store)
    await standby.fetch(*NAMES)
    waiting = repr(standby._recorder._waiting)
    await written(standby)
    for path in records(directory):
        path.write_bytes(path.read_bytes()[:-5])
    store.take_away()
    with pytest.raises(BackendUnavailableError):
        await standby.fetch(*NAMES)
    assert "ignoring a record" in caplog.text
    assert "hunter2" not in caplog.text + waiting + repr(standby)


async def test_abilities_pass_through(restart: Restart, store: Switch) -> None:
    standby = restart(store)
    keys, resources = ability(standby, SupportsKeys), ability(standby, SupportsResources)
    assert keys is not standby
    assert resources is standby
    assert isinstance(await standby.fetch_snapshot([ORDERS]), ConfigSnapshot)
