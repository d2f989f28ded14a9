"""What changed since a cursor: other connections, many changes, other databases, hints."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, text

from pyfly.config_core import BackendUnavailableError, ConfigKey, UnsupportedOperationError
from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import (
    ANY,
    BundleChange,
    Change,
    ChangeBatch,
    EverythingChange,
    SupportsChangeHints,
    SupportsChanges,
    ability,
)
from pyfly.config_sql import SqlConfigBackend, _changes

pytestmark = pytest.mark.anyio

EVERYTHING = (EverythingChange(),)
Open = Callable[[], SqlConfigBackend]


def bundle(application: str) -> ConfigSource:
    return ConfigSource(application=application, profile="prod", properties={})


def named(*applications: str) -> tuple[Change, ...]:
    return tuple(BundleChange(key=bundle(name).key) for name in applications)


async def test_changes_of_other_connections_are_named_once_in_their_order(
    backend: SqlConfigBackend, open_again: Open
) -> None:
    start = (await backend.changes_since(None)).cursor
    other = open_again()
    for name in ("one", "two", "one", "three"):
        await other.save(bundle(name))
    await other.delete(ConfigKey(application="two", profile="prod"), expected="2")
    batch = await backend.changes_since(start)
    assert batch.changes == named("one", "two", "three")
    assert await other.changes_since(batch.cursor) == ChangeBatch(cursor=batch.cursor)
    assert await other.changes_since(start) == batch
    await other.aclose()


async def test_a_cursor_survives_a_restart(backend: SqlConfigBackend, open_again: Open) -> None:
    await backend.save(bundle("one"))
    start = (await backend.changes_since(None)).cursor
    await backend.save(bundle("two"))
    await backend.aclose()
    again = open_again()
    assert (await again.changes_since(start)).changes == named("two")
    await again.aclose()


async def test_more_changes_than_are_named_are_everything(
    backend: SqlConfigBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_changes, "MAX_CHANGES", 3)
    for before in ((), ("before",)):
        for name in before:
            await backend.save(bundle(name))
        start = (await backend.changes_since(None)).cursor
        for number in range(3):
            await backend.save(bundle(f"app{number}"))
        assert (await backend.changes_since(start)).changes == named("app0", "app1", "app2")
        await backend.save(bundle("app3"))
        batch = await backend.changes_since(start)
        assert batch.changes == EVERYTHING
        assert await backend.changes_since(batch.cursor) == ChangeBatch(cursor=batch.cursor)


async def test_asking_while_nothing_changes_reads_one_row_by_its_key(
    backend: SqlConfigBackend,
) -> None:
    for number in range(20):
        await backend.save(bundle(f"app{number}"))
    cursor = (await backend.changes_since(None)).cursor
    sent: list[str] = []
    engine = backend._database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *parts: sent.append(parts[2]))
    assert (await backend.changes_since(cursor)).changes == ()
    (statement,) = sent
    async with backend._database.engine.connect() as connection:
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (20, 1002, 0))
        (step,) = [row[-1] for row in plan.all()]
    assert step.startswith("SEARCH pyfly_config_revision USING INDEX"), step
    assert "version>?" in step


# --- databases that count alike -------------------------------------------------------


async def test_a_cursor_of_another_database_gives_everything(
    backend: SqlConfigBackend, tmp_path: Path
) -> None:
    other = SqlConfigBackend.from_url(f"sqlite:///{tmp_path / 'other.db'}")
    for store in (backend, other):
        for name in ("one", "two"):
            await store.save(bundle(name))
    cursors = [(await store.changes_since(None)).cursor for store in (backend, other)]
    assert [cursor.partition("-")[0] for cursor in cursors] == ["2", "2"]
    assert (await backend.changes_since(cursors[1])).changes == EVERYTHING
    assert (await other.changes_since(cursors[0])).changes == EVERYTHING
    await other.aclose()


@pytest.mark.parametrize("written_again", [0, 1, 2, 3])
async def test_after_a_backup_was_restored_a_later_cursor_gives_everything(
    backend: SqlConfigBackend, tmp_path: Path, written_again: int
) -> None:
    path, backup = tmp_path / "config.db", tmp_path / "backup.db"
    await backend.save(bundle("one"))
    kept = (await backend.changes_since(None)).cursor
    async with backend._database.engine.connect() as connection:
        await connection.execute(text(f"VACUUM INTO '{backup}'"))
    for _ in range(2):
        await backend.save(bundle("lost"))
    lost = (await backend.changes_since(None)).cursor
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.move(backup, path)
    for _ in range(written_again):
        await backend.save(bundle("again"))
    batch = await backend.changes_since(lost)
    assert batch.changes == EVERYTHING
    assert batch.cursor == (await backend.changes_since(None)).cursor
    # What the backup holds, too, is followed from where it was.
    expected = named("again") if written_again else ()
    assert (await backend.changes_since(kept)).changes == expected


async def test_a_store_that_was_emptied_gives_everything(backend: SqlConfigBackend) -> None:
    empty = (await backend.changes_since(None)).cursor
    await backend.save(bundle("one"))
    cursor = (await backend.changes_since(None)).cursor
    async with backend._database.engine.begin() as connection:
        for table in ("bundle", "revision"):
            await connection.execute(text(f"DELETE FROM pyfly_config_{table}"))
        await connection.execute(text("UPDATE pyfly_config_sequence SET version = 0"))
    assert await backend.changes_since(cursor) == ChangeBatch(cursor=empty, changes=EVERYTHING)
    assert await backend.changes_since(empty) == ChangeBatch(cursor=empty)


async def test_old_revisions_may_be_deleted(backend: SqlConfigBackend) -> None:
    await backend.save(bundle("one"))
    old = (await backend.changes_since(None)).cursor
    await backend.save(bundle("one"))
    cursor = (await backend.changes_since(None)).cursor
    async with backend._database.engine.begin() as connection:
        await connection.execute(text("DELETE FROM pyfly_config_revision WHERE version = 1"))
    assert (await backend.changes_since(old)).changes == EVERYTHING
    await backend.save(bundle("two"))
    assert (await backend.changes_since(cursor)).changes == named("two")


@pytest.mark.parametrize("suffix", ["", "x", "\0", "-", "é"])
async def test_a_cursor_counts_only_as_it_was_returned(
    backend: SqlConfigBackend, suffix: str
) -> None:
    for cursor in ((await backend.changes_since(None)).cursor, "1", "-1-", "0-", f"{10**18}-a"):
        if suffix or cursor in {"1", "-1-"}:
            assert (await backend.changes_since(cursor + suffix)).changes == EVERYTHING
    await backend.delete(bundle("one").key, expected=ANY)
    await backend.save(bundle("one"))
    cursor = (await backend.changes_since(None)).cursor
    assert (await backend.changes_since(f"0{cursor}")).changes == EVERYTHING


# --- hints ----------------------------------------------------------------------------


async def test_sqlite_gives_no_hints_and_says_so(backend: SqlConfigBackend) -> None:
    assert ability(backend, SupportsChanges) is backend
    assert ability(backend, SupportsChangeHints) is None
    with pytest.raises(UnsupportedOperationError, match="does not support hints of changes"):
        await anext(backend.hints())
    await backend.aclose()
    with pytest.raises(BackendUnavailableError, match="closed"):
        await anext(backend.hints())


async def test_asking_again_works_after_a_database_was_away(
    backend: SqlConfigBackend, open_again: Open
) -> None:
    start = (await backend.changes_since(None)).cursor
    other = open_again()
    async with other._database.engine.begin() as connection:  # away, as far as a reader can see
        await connection.execute(text("ALTER TABLE pyfly_config_revision RENAME TO elsewhere"))
    with pytest.raises(Exception, match="the tables are missing"):
        await backend.changes_since(start)
    async with other._database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO pyfly_config_revision"))
    await asyncio.gather(other.save(bundle("orders")), other.save(bundle("billing")))
    assert (await backend.changes_since(start)).changes == named("orders", "billing")
    await other.aclose()
