"""A SQLite file that is removed or replaced while it is in use."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import BackendError, BackendUnavailableError, ConfigKey
from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import ANY, BundleChange
from pyfly.config_sql import SqlConfigBackend
from pyfly.config_sql._database import Database

pytestmark = pytest.mark.anyio

SUFFIXES = ("", "-wal", "-shm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.db"


def source(number: int) -> ConfigSource:
    return ConfigSource(application="orders", profile="prod", properties={"n": number})


async def number(backend: SqlConfigBackend) -> Any:
    found = await backend.fetch("orders", "prod")
    return None if found is None else found.properties["n"]


def remove(path: Path) -> None:
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def remove_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name(f"{path.parent.name}-away"))


async def refuses_everything(backend: SqlConfigBackend) -> None:
    for call in (
        lambda: backend.commit(source(9), expected=ANY),
        lambda: backend.fetch("orders", "prod"),
        lambda: backend.delete(ConfigKey(application="orders", profile="prod"), expected=ANY),
        backend.list,
        backend.check,
        lambda: backend.changes_since(None),
    ):
        with pytest.raises(BackendUnavailableError, match="the SQLite file was removed"):
            await call()


@pytest.mark.parametrize("how", [Path.unlink, remove, remove_directory])
async def test_nothing_is_acknowledged_into_a_removed_file_and_none_is_made(
    backend: SqlConfigBackend, path: Path, how: Callable[[Path], object]
) -> None:
    await backend.save(source(1))
    how(path)
    await refuses_everything(backend)
    assert not path.exists()


async def test_a_file_that_is_back_is_used_again(
    backend: SqlConfigBackend, path: Path, tmp_path: Path
) -> None:
    await backend.save(source(1))
    away = tmp_path / "away"
    away.mkdir()
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").rename(away / f"config.db{suffix}")
    await refuses_everything(backend)
    for suffix in reversed(SUFFIXES):  # the database last, as its log belongs to it
        if (moved := away / f"config.db{suffix}").exists():
            moved.rename(f"{path}{suffix}")
    assert await number(backend) == 1
    await backend.save(source(2))
    assert await number(backend) == 2


async def test_a_file_in_the_place_of_another_is_read_and_written(
    backend: SqlConfigBackend, path: Path, tmp_path: Path
) -> None:
    await backend.save(source(1))
    other = SqlConfigBackend.from_url(f"sqlite:///{tmp_path / 'other.db'}")
    await other.save(source(7))
    await other.aclose()
    remove(path)
    (tmp_path / "other.db").rename(path)
    assert await number(backend) == 7
    await backend.save(source(8))
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT properties FROM pyfly_config_revision").fetchall()
    assert [row[0] for row in rows] == ['{"n":7}', '{"n":8}']


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
async def test_a_file_without_tables_is_not_taken_for_the_store(
    backend: SqlConfigBackend, path: Path, content: bytes, empty_file: Path
) -> None:
    await backend.save(source(1))
    remove(path)
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(BackendError) as caught:
            await backend.save(source(2))
        assert isinstance(caught.value, BackendUnavailableError) == (content == b"")
    assert path.read_bytes() == content
    remove(path)
    shutil.copyfile(empty_file, path)
    assert await number(backend) is None
    await backend.save(source(3))
    assert await number(backend) == 3


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
async def test_a_removed_log_loses_no_save_that_is_acknowledged_afterwards(
    backend: SqlConfigBackend,
    path: Path,
    suffix: str,
    open_again: Callable[[], SqlConfigBackend],
) -> None:
    await backend.save(source(1))
    Path(f"{path}{suffix}").unlink()
    await backend.save(source(2))
    second = open_again()
    assert await number(second) == 2
    await second.aclose()
    assert await number(backend) == 2


async def test_a_file_that_vanishes_during_a_commit_is_noticed_before_the_answer(
    backend: SqlConfigBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backend.save(source(1))
    check = Database._check_kept

    def vanish(database: Database) -> None:
        path.unlink()
        check(database)

    monkeypatch.setattr(Database, "_check_kept", vanish)
    with pytest.raises(BackendUnavailableError, match="during a write; the outcome is unknown"):
        await backend.save(source(2))


async def test_several_requests_notice_a_replaced_file_together(
    backend: SqlConfigBackend, path: Path, empty_file: Path
) -> None:
    await backend.save(source(1))
    for _ in range(5):
        replacement = path.with_name("replacement")
        shutil.copyfile(empty_file, replacement)
        for suffix in SUFFIXES[1:]:
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        replacement.replace(path)
        await asyncio.gather(*(number(backend) for _ in range(20)), backend.save(source(2)))
        assert await number(backend) == 2


# --- a file that was never there ------------------------------------------------------


async def test_reading_makes_no_file_and_says_that_there_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = SqlConfigBackend.from_url(f"sqlite:///{tmp_path}/misspelt.db")
    await backend.check()
    assert await backend.fetch("orders", "prod") is None
    assert await backend.list() == []
    assert [entry async for entry in backend.keys()] == []
    assert await backend.labels() == []
    assert not await backend.has_label("next")
    assert await backend.history(source(1).key) == []
    start = await backend.changes_since(None)
    assert [*tmp_path.iterdir()] == []
    assert caplog.text.count("the SQLite file does not exist yet") == 1
    await backend.save(source(1))
    assert await number(backend) == 1
    batch = await backend.changes_since(start.cursor)
    assert batch.changes == (BundleChange(key=source(1).key),)
    await backend.aclose()


async def test_a_file_that_is_made_later_is_read(tmp_path: Path) -> None:
    backend, other = (
        SqlConfigBackend.from_url(f"sqlite:///{tmp_path}/config.db") for _ in range(2)
    )
    assert await number(backend) is None
    assert await other.upgrade() == ["0001", "0002"]
    assert await number(backend) is None
    await other.save(source(2))
    assert await number(backend) == 2
    for one in (backend, other):
        await one.aclose()


async def test_a_file_that_cannot_be_opened_is_no_end_of_a_store(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    backend = SqlConfigBackend.from_url(f"sqlite:///{path}")
    with pytest.raises(Exception, match="damaged, or not a database"):
        await backend.check()
    path.unlink()
    await backend.upgrade()
    await backend.check()
    await backend.aclose()
