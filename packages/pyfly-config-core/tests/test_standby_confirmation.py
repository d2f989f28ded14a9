"""What a later look at the store confirms of the standby, and what it removes."""

import asyncio
from pathlib import Path

import pytest
from standby_stores import NAMES, ORDERS, Restart, Switch, bundle, records, written

from pyfly.config_core import BackendUnavailableError, UnsupportedOperationError
from pyfly.config_server import FilesystemConfigBackend, InMemoryConfigBackend
from pyfly.config_server.live import standby_recorder
from pyfly.config_server.storage import ANY, SupportsChanges
from pyfly.config_server.testing._wrapped import CompleteBackend

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_standby")]


async def test_what_the_store_has_removed_is_removed(
    restart: Restart, switch: Switch, inner: InMemoryConfigBackend
) -> None:
    await inner.save(bundle())
    await inner.save(bundle("billing"))
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    await inner.delete(ORDERS, expected=ANY)
    assert await standby.fetch(*NAMES) is None
    await written(standby)
    switch.take_away()
    assert await restart(switch).fetch(*NAMES) is None


async def test_an_absence_is_kept_only_after_a_later_look_at_the_store(
    restart: Restart, switch: Switch, inner: CompleteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell an absence from a volume that was unmounted a moment ago."""
    await inner.save(bundle())
    await inner.save(bundle("billing"))
    standby = restart(switch)
    found = await standby.fetch(*NAMES)
    await written(standby)

    async def absent(*_: str) -> None:
        switch.take_away()

    monkeypatch.setattr(inner, "fetch", absent)
    standby._recorder._seen.clear()
    assert await standby.fetch(*NAMES) is None
    await written(standby)
    assert switch.calls[-1] == "changes_since"
    assert await restart(switch).fetch(*NAMES) == found


async def test_a_read_that_failed_in_between_drops_what_was_not_confirmed(
    restart: Restart, switch: Switch, standby_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby_recorder, "PAUSE_SECONDS", 60.0)
    standby = restart(switch)
    await standby.fetch(*NAMES)
    switch.take_away()
    with pytest.raises(BackendUnavailableError):
        await standby.fetch("billing", "prod")
    switch.bring_back()
    await standby._recorder.aclose()
    assert records(standby_directory) == []


async def test_the_looks_of_others_confirm_what_was_read_before(
    restart: Restart, switch: Switch, standby_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby_recorder, "LOOK_SECONDS", 600.0)
    standby = restart(switch)
    await standby.changes_since(None)
    await standby.fetch(*NAMES)
    await asyncio.sleep(0.05)
    assert records(standby_directory) == []
    await standby.changes_since(None)
    await written(standby)
    assert len(records(standby_directory)) == 1
    assert switch.calls.count("changes_since") == 2


async def test_a_store_without_changes_confirms_by_the_read_itself(
    restart: Restart, inner: CompleteBackend, standby_directory: Path
) -> None:
    switch = Switch(inner, lacking=frozenset({SupportsChanges}))
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    assert len(records(standby_directory)) == 1
    assert "changes_since" not in switch.calls


async def test_changes_that_are_refused_count_as_lacking(
    restart: Restart, switch: Switch, inner: CompleteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(cursor: str | None) -> None:
        raise UnsupportedOperationError("a store", "changes")

    monkeypatch.setattr(inner, "changes_since", refuse)
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    switch.take_away()
    assert await standby.fetch(*NAMES) is None


async def test_a_store_that_is_empty_at_a_start_but_was_not_before_is_away(
    restart: Restart, tmp_path: Path
) -> None:
    """The directory of an unmounted volume is empty."""
    volume = tmp_path / "volume"
    (volume / "main").mkdir(parents=True)
    (volume / "main" / "orders-prod.yaml").write_text("a: 1\n", encoding="utf-8")
    switch = Switch(FilesystemConfigBackend(volume))
    standby = restart(switch)
    found = await standby.fetch(*NAMES)
    await standby.has_label("main")
    await written(standby)
    await switch.wrapped.aclose()  # type: ignore[attr-defined]
    (volume / "main").rename(tmp_path / "elsewhere")
    switch = Switch(FilesystemConfigBackend(volume))  # does not know that there were labels
    again = restart(switch)
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
    await switch.wrapped.aclose()  # type: ignore[attr-defined]


async def test_a_store_of_which_only_absences_are_kept_may_be_empty(
    restart: Restart, tmp_path: Path
) -> None:
    (tmp_path / "volume" / "main").mkdir(parents=True)
    for remove in (True, False):
        switch = Switch(FilesystemConfigBackend(tmp_path / "volume"))
        standby = restart(switch)
        assert await standby.fetch(*NAMES) is None
        await written(standby)
        await switch.wrapped.aclose()  # type: ignore[attr-defined]
        if remove:
            (tmp_path / "volume" / "main").rmdir()


async def test_a_store_that_removed_its_last_bundle_is_empty_after_a_restart(
    restart: Restart, tmp_path: Path
) -> None:
    (tmp_path / "volume").mkdir()
    switch = Switch(FilesystemConfigBackend(tmp_path / "volume"))
    standby = restart(switch)
    await standby.save(bundle())
    await standby.save(bundle("other"))
    for application in ("orders", "other"):
        assert await standby.fetch(application, "prod") is not None
    await written(standby)
    await standby.delete(ORDERS, expected=ANY)
    await written(standby)
    await switch.wrapped.delete(bundle("other").key, expected=ANY)  # type: ignore[attr-defined]
    await switch.wrapped.aclose()  # type: ignore[attr-defined]
    again = restart(Switch(FilesystemConfigBackend(tmp_path / "volume")))
    assert await again.fetch(*NAMES) is None
