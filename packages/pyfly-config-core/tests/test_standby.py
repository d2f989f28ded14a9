"""The standby: what a store returned is served from the disk while the store is away."""

import logging
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standby_stores import NAMES, ORDERS, Restart, Switch, bundle, records, written

from pyfly.config_core import BackendAccessDeniedError, BackendUnavailableError, ConfigFormatError
from pyfly.config_server import ConfigBackend, ConfigServer, ConfigSource, FilesystemConfigBackend
from pyfly.config_server.files import SpringLayout
from pyfly.config_server.live.standby import StandbyBackend
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

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_standby")]


class TestConformance(WrapperConformance):
    own_abilities = frozenset({SupportsClose})

    @pytest.fixture
    async def backend(self, wrapped: ConfigBackend, tmp_path: Path) -> AsyncIterator[ConfigBackend]:
        standby = StandbyBackend(wrapped, tmp_path / "standby")
        yield standby
        await standby.aclose()


# --- reading --------------------------------------------------------------------------


async def test_a_bundle_is_served_after_a_restart_without_the_store(
    restart: Restart, switch: Switch
) -> None:
    await switch.save(bundle(url="jdbc:x", nested={"list": [1, 2.5, None, True, "ü"]}))
    found = await (first := restart(switch)).fetch(*NAMES)
    await written(first)
    switch.take_away()
    assert await restart(switch).fetch(*NAMES) == found
    assert found is not None


async def test_a_known_absence_is_an_answer(restart: Restart, switch: Switch) -> None:
    first = restart(switch)
    assert await first.fetch(*NAMES) is None
    await written(first)
    switch.take_away()
    assert await restart(switch).fetch(*NAMES) is None


async def test_what_was_never_read_raises_the_error_of_the_store(
    restart: Restart, switch: Switch
) -> None:
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    switch.take_away()
    with pytest.raises(BackendUnavailableError) as error:
        await standby.fetch("billing", "prod")
    assert error.value is switch.error


async def test_several_bundles_need_an_answer_for_each(restart: Restart, switch: Switch) -> None:
    await switch.save(bundle())
    other = replace(ORDERS, application="billing")
    standby = restart(switch)
    found = await standby.fetch_many([ORDERS, other])
    await written(standby)
    switch.take_away()
    assert await standby.fetch_many([other, ORDERS]) == [None, found[0]]
    with pytest.raises(BackendUnavailableError):
        await standby.fetch_many([ORDERS, replace(ORDERS, profile="dev")])


async def test_a_snapshot_is_kept_whole_with_its_version(restart: Restart, switch: Switch) -> None:
    keys = [ORDERS, replace(ORDERS, application="billing")]
    await switch.save(bundle(a=1))
    standby = restart(switch)
    first = await standby.fetch_snapshot(keys)
    await written(standby)
    await switch.wrapped.save(bundle(a=2))
    newer = await standby.fetch(*NAMES)
    await written(standby)
    switch.take_away()
    assert await standby.fetch(*NAMES) == newer
    assert await standby.fetch_snapshot(keys) == first
    assert await standby.fetch("billing", "prod") is None
    with pytest.raises(BackendUnavailableError):
        await standby.fetch_snapshot(keys[::-1])


async def test_labels_and_plain_files_are_kept(
    restart: Restart, switch: Switch, inner: CompleteBackend
) -> None:
    inner.put_resource("main", "nginx.conf", b"\0\n\xff plain")
    standby = restart(switch)
    labels = [await standby.has_label(label) for label in ("main", "absent")]
    found = await standby.open_resource("main", "nginx.conf")
    assert await standby.open_resource("main", "absent.txt") is None
    await written(standby)
    switch.take_away()
    again = restart(switch)
    assert [await again.has_label(label) for label in ("main", "absent")] == labels == [True, False]
    assert await again.open_resource("main", "nginx.conf") == found
    assert await again.open_resource("main", "absent.txt") is None
    for missing in (again.has_label("other"), again.open_resource("main", "other.txt")):
        with pytest.raises(BackendUnavailableError):
            await missing


@pytest.mark.slow
async def test_files_with_several_documents_and_places_are_kept_as_they_were(
    restart: Restart, tmp_path: Path
) -> None:
    root = tmp_path / "files"
    root.mkdir()
    (root / "orders.yml").write_text("a: 1\n---\nb: '{cipher}AQ'\n", encoding="utf-8")
    (root / "orders.properties").write_text("c=3\n", encoding="utf-8")
    (root / "empty.yml").write_text("", encoding="utf-8")
    switch = Switch(FilesystemConfigBackend(root, layout=SpringLayout()))
    standby = restart(switch)
    names = [(one, "-", "main") for one in ("orders", "empty")]
    found = [await standby.fetch(*one) for one in names]
    await written(standby)
    switch.take_away()
    assert [await restart(switch).fetch(*one) for one in names] == found
    assert found[0] is not None
    assert len(found[0].documents) == 3
    assert any(one.origins for one in found[0].documents)
    await switch.wrapped.aclose()  # type: ignore[attr-defined]


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
    restart: Restart, switch: Switch, source: ConfigSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(*names: str) -> ConfigSource:
        return source

    monkeypatch.setattr(switch.wrapped, "fetch", fetch)
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    switch.take_away()
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
    restart: Restart, switch: Switch, error: Exception
) -> None:
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    switch.error = error
    with pytest.raises(type(error)):
        await standby.fetch(*NAMES)


async def test_what_is_no_read_fails_as_the_store_does(restart: Restart, switch: Switch) -> None:
    standby = restart(switch)
    await standby.fetch(*NAMES)
    switch.take_away()
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
    restart: Restart, switch: Switch
) -> None:
    for name in ("orders", "application"):
        await switch.save(bundle(name, **{f"{name}.x": "${x}", "secret": "{cipher}AQ"}))
    standby = restart(switch)
    document = await ConfigServer(standby).fetch("orders", "prod")
    await written(standby)
    switch.take_away()
    assert await ConfigServer(restart(switch)).fetch("orders", "prod") == document


async def test_a_store_with_three_methods_has_a_standby(
    restart: Restart, inner: CompleteBackend
) -> None:
    kinds = (SupportsBatchFetch, SupportsChanges, SupportsLabels, SupportsSnapshots)
    switch = Switch(inner, lacking=frozenset(kinds))
    await switch.save(bundle())
    standby = restart(switch)
    assert all(ability(standby, kind) is None for kind in kinds)
    found = await standby.fetch(*NAMES)
    await written(standby)
    switch.take_away()
    assert await restart(switch).fetch(*NAMES) == found


# --- the age --------------------------------------------------------------------------


async def test_an_answer_from_the_disk_has_the_time_when_it_was_read(
    restart: Restart, switch: Switch
) -> None:
    standby = restart(switch)
    before = datetime.now(UTC)
    await standby.fetch(*NAMES)
    after = datetime.now(UTC)
    assert standby.stale_since is None
    await written(standby)
    switch.take_away()
    again = restart(switch)
    await again.fetch(*NAMES)
    assert again.stale_since is not None
    assert before - timedelta(milliseconds=1) <= again.stale_since <= after
    assert again.stale_since.tzinfo is UTC
    switch.bring_back()
    await again.fetch(*NAMES)
    assert again.stale_since is None


async def test_several_answers_have_the_time_of_the_oldest(
    restart: Restart, switch: Switch, standby_directory: Path
) -> None:
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    (old,) = records(standby_directory)
    os.utime(old, (1000, 1000))
    await standby.fetch("billing", "prod")
    await written(standby)
    switch.take_away()
    await standby.fetch("billing", "prod")
    assert standby.stale_since is not None
    assert standby.stale_since.year > 2000
    await standby.fetch(*NAMES)
    await standby.fetch("billing", "prod")
    assert standby.stale_since == datetime.fromtimestamp(1000, UTC)


async def test_a_time_in_the_future_is_the_present(
    restart: Restart, switch: Switch, standby_directory: Path
) -> None:
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    future = time.time() + 10**8
    os.utime(records(standby_directory)[0], (future, future))
    switch.take_away()
    await standby.fetch(*NAMES)
    assert standby.stale_since is not None
    assert standby.stale_since <= datetime.now(UTC)
    switch.bring_back()
    await switch.save(bundle(a=2))
    standby._recorder._seen.clear()
    found = await standby.fetch(*NAMES)
    await written(standby)
    switch.take_away()
    assert await standby.fetch(*NAMES) == found


# --- what is kept ---------------------------------------------------------------------


async def test_repr_and_log_show_no_value(
    restart: Restart, switch: Switch, standby_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await switch.save(bundle(password="hunter2"))
    standby = restart(switch)
    await standby.fetch(*NAMES)
    waiting = repr(standby._recorder._waiting)
    await written(standby)
    for path in records(standby_directory):
        path.write_bytes(path.read_bytes()[:-5])
    switch.take_away()
    with pytest.raises(BackendUnavailableError):
        await standby.fetch(*NAMES)
    assert "ignoring a record" in caplog.text
    assert "hunter2" not in caplog.text + waiting + repr(standby)


async def test_abilities_pass_through(restart: Restart, switch: Switch) -> None:
    standby = restart(switch)
    keys, resources = ability(standby, SupportsKeys), ability(standby, SupportsResources)
    assert keys is not standby
    assert resources is standby
    assert isinstance(await standby.fetch_snapshot([ORDERS]), ConfigSnapshot)
