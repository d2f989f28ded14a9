"""What the published suite cannot know: the pool, the errors of the driver, damage, processes."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyfly_config_template import TemplateConfigBackend
from pyfly_config_template._errors import backend_error
from pyfly_config_template._pool import ConnectionPool
from pyfly_config_template._settings import StoreSettings

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigFormatError,
)
from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import BundleChange

SOURCE = ConfigSource(application="orders", profile="prod", properties={"password": "hunter2"})

SAVE_AND_DIE = """
import asyncio, os, sys
from pyfly_config_template import TemplateConfigBackend
from pyfly.config_server import ConfigSource

async def main():
    backend = TemplateConfigBackend.from_url(sys.argv[1])
    await backend.save(ConfigSource(application="orders", profile="dev", properties={"n": 1}))
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def backend(path: Path) -> Iterator[TemplateConfigBackend]:
    backend = TemplateConfigBackend(StoreSettings(path=path, timeout=120))
    yield backend
    asyncio.run(backend.aclose())


def test_the_pool_opens_no_more_connections_than_it_may(path: Path) -> None:
    async def use() -> set[int]:
        pool = ConnectionPool(StoreSettings(path=path, pool=2, timeout=120))
        together = threading.Barrier(2)  # two functions run at the same time

        def connection_of(connection: sqlite3.Connection) -> int:
            together.wait(timeout=60)
            return id(connection)

        try:
            return set(await asyncio.gather(*(pool.run(connection_of) for _ in range(10))))
        finally:
            await pool.aclose()

    assert len(asyncio.run(use())) == 2


def test_a_call_that_takes_too_long_is_given_up(path: Path) -> None:
    async def use() -> None:
        pool = ConnectionPool(StoreSettings(path=path, pool=1, timeout=1))
        stuck = threading.Event()
        try:
            with pytest.raises(BackendUnavailableError, match="no result from the store in 1 s"):
                await pool.run(lambda _: stuck.wait(timeout=60))
        finally:
            stuck.set()
            await pool.aclose()

    asyncio.run(use())


def test_closing_closes_every_connection(path: Path) -> None:
    async def use() -> sqlite3.Connection:
        pool = ConnectionPool(StoreSettings(path=path))
        connection = await pool.run(lambda connection: connection)
        await pool.aclose()
        return connection

    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        asyncio.run(use()).execute("SELECT 1")


@pytest.mark.parametrize("kind", sorted(sqlite3.Error.__subclasses__(), key=str), ids=str)
def test_every_error_of_the_driver_is_translated_without_its_text(kind: type[Exception]) -> None:
    for one in (kind, *kind.__subclasses__()):
        error = one("hunter2")
        assert isinstance(error, sqlite3.Error)
        found = backend_error(error)
        assert isinstance(found, BackendError)
        assert "hunter2" not in str(found)


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    backend = TemplateConfigBackend(StoreSettings(path=tmp_path / "absent" / "store.db"))
    for call in (backend.check(), backend.list(), backend.save(SOURCE)):
        with pytest.raises(BackendUnavailableError, match="SQLITE_CANTOPEN") as error:
            asyncio.run(call)
        assert isinstance(error.value.__cause__, sqlite3.Error)
    asyncio.run(backend.aclose())


def test_a_file_that_is_no_database_is_not_tried_again(
    path: Path, backend: TemplateConfigBackend
) -> None:
    path.write_text("no database\n" * 100, encoding="utf-8")
    with pytest.raises(BackendAccessDeniedError, match="SQLITE_NOTADB"):
        asyncio.run(backend.check())


def test_a_file_that_is_gone_is_noticed(path: Path, backend: TemplateConfigBackend) -> None:
    asyncio.run(backend.check())
    path.unlink()
    with pytest.raises(BackendUnavailableError, match="is gone"):
        asyncio.run(backend.check())


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"password": "hunter2"', "\0"])
def test_damaged_properties_are_named_without_what_they_hold(
    path: Path, backend: TemplateConfigBackend, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(backend.save(SOURCE))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE bundles SET properties = ?", [text])
    connection.close()
    with pytest.raises(ConfigFormatError, match="orders") as damage:
        asyncio.run(backend.fetch("orders", "prod"))
    assert asyncio.run(backend.list()) == []
    assert "left out of a listing" in caplog.text
    assert "hunter2" not in f"{damage.value} {caplog.text}"


def test_a_killed_process_loses_nothing_that_was_saved(
    path: Path, backend: TemplateConfigBackend
) -> None:
    before = asyncio.run(backend.changes_since(None))
    url = f"template://{path}?timeout=120"
    assert subprocess.run([sys.executable, "-c", SAVE_AND_DIE, url], check=False).returncode == -9
    found = asyncio.run(backend.fetch("orders", "dev"))
    assert found is not None
    assert found.properties == {"n": 1}
    batch = asyncio.run(backend.changes_since(before.cursor))
    assert batch.changes == (BundleChange(key=found.key),)
