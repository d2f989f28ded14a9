"""What the standby keeps: after writes, of several stores, and within its limits."""

import asyncio
import os
from pathlib import Path

import pytest
from standby_stores import NAMES, ORDERS, Restart, Switch, bundle, records, written

from pyfly.config_core import BackendUnavailableError
from pyfly.config_server import ConfigSource
from pyfly.config_server.live import standby_recorder
from pyfly.config_server.live.standby import StandbyBackend
from pyfly.config_server.live.standby_records import RecordKey
from pyfly.config_server.storage import ANY
from pyfly.config_server.testing._wrapped import CompleteBackend

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_standby")]


@pytest.mark.parametrize("how", ["save", "commit", "delete"])
async def test_a_write_through_this_process_updates_what_is_kept(
    restart: Restart, switch: Switch, how: str
) -> None:
    await switch.save(bundle(a=1))
    await switch.save(bundle("billing"))
    standby = restart(switch)
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
    now = await switch.fetch(*NAMES)
    switch.take_away()
    again = restart(switch)
    assert await again.fetch(*NAMES) == now
    with pytest.raises(BackendUnavailableError):
        await again.fetch_snapshot([ORDERS])


async def test_a_write_before_an_outage_leaves_nothing_old(
    restart: Restart, switch: Switch
) -> None:
    await switch.save(bundle(a=1))
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    await standby.save(bundle(a=2))
    switch.take_away()
    await written(standby)
    with pytest.raises(BackendUnavailableError):
        await restart(switch).fetch(*NAMES)


async def test_a_read_that_began_before_a_write_is_not_kept(
    restart: Restart, switch: Switch, inner: CompleteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await switch.save(bundle(a=1))
    standby = restart(switch)
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
    switch.take_away()
    kept = await standby.fetch(*NAMES)
    assert kept is not None
    assert kept.properties == {"a": 2}


async def test_a_refused_write_forgets_nothing(restart: Restart, switch: Switch) -> None:
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    switch.take_away()
    with pytest.raises(BackendUnavailableError):
        await standby.save(bundle())
    assert await standby.fetch(*NAMES) is None


async def test_an_unchanged_result_is_not_written_again(
    restart: Restart, switch: Switch, standby_directory: Path
) -> None:
    await switch.save(bundle())
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    (path,) = records(standby_directory)
    os.utime(path, (1000, 1000))
    first = path.stat()
    standby._recorder._seen.clear()
    await standby.fetch(*NAMES)
    await written(standby)
    again = restart(switch)  # knows nothing about the file
    await again.fetch(*NAMES)
    await written(again)
    second = path.stat()
    assert second.st_ino == first.st_ino
    assert second.st_mtime > 10**9


async def test_the_same_result_is_noted_once_in_a_while(restart: Restart, switch: Switch) -> None:
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    for _ in range(3):
        await standby.fetch(*NAMES)
        assert standby._recorder._waiting == {}


async def test_closing_writes_what_was_read(
    standby_directory: Path, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby_recorder, "PAUSE_SECONDS", 600.0)
    standby = StandbyBackend(switch, standby_directory)
    await standby.fetch(*NAMES)
    await standby.aclose()
    await standby.aclose()
    assert len(records(standby_directory)) == 1
    with pytest.raises(BackendUnavailableError):
        await standby.fetch(*NAMES)


async def test_another_store_does_not_get_what_was_kept(
    restart: Restart, switch: Switch, standby_directory: Path
) -> None:
    standby = restart(switch)
    await standby.fetch(*NAMES)
    await written(standby)
    switch.take_away()
    other = StandbyBackend(switch, standby_directory, store="two")
    with pytest.raises(BackendUnavailableError):
        await other.fetch(*NAMES)
    (path,) = records(standby_directory)
    moved = other._files.path / RecordKey.of_bundle(ORDERS).file_name(other._shelf._store)
    moved.write_bytes(path.read_bytes())
    moved.chmod(0o600)
    with pytest.raises(BackendUnavailableError):
        await other.fetch(*NAMES)
    await other.aclose()


async def test_the_limit_of_bytes_removes_the_least_recently_confirmed(
    restart: Restart, switch: Switch, inner: CompleteBackend, standby_directory: Path
) -> None:
    limit = 20 * 4096
    standby = restart(switch, max_bytes=limit)
    names = [f"app{number}" for number in range(30)]
    for name in names:
        await inner.save(bundle(name, text="x" * 5000))
        await standby.fetch(name, "prod")
        await written(standby)
        assert sum(path.stat().st_size for path in records(standby_directory)) <= limit
    switch.take_away()
    kept = [name for name in names if await _has(standby, name)]
    assert kept == names[-len(kept) :]
    assert len(kept) >= 5


async def _has(standby: StandbyBackend, name: str) -> bool:
    try:
        return await standby.fetch(name, "prod") is not None
    except BackendUnavailableError:
        return False


async def test_a_result_that_is_too_large_is_not_kept(
    restart: Restart, switch: Switch, inner: CompleteBackend, standby_directory: Path
) -> None:
    inner.put_resource("main", "large.bin", b"x" * 50_000)
    standby = restart(switch, max_bytes=40_000)
    await standby.open_resource("main", "large.bin")
    await written(standby)
    assert records(standby_directory) == []
