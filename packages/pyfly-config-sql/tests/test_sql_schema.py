"""The tables: how they are made, and which ones are refused."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from pyfly.config_core import BackendError
from pyfly.config_server import ConfigSource
from pyfly.config_sql import SqlConfigBackend, _schema, migrations

pytestmark = pytest.mark.anyio

PROCESSES = 4


def bundle(application: str = "orders") -> ConfigSource:
    return ConfigSource(application=application, profile="prod", properties={"a": 1})


def change(url: str, statement: str) -> None:
    engine = create_engine(url.partition("?")[0])
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_the_code_knows_the_migrations_that_are_shipped() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__path__[0])))
    assert [one.revision for one in scripts.walk_revisions()][::-1] == [*_schema.REVISIONS]


def test_the_migrations_make_the_tables_that_the_code_uses(url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"version_table": _schema.VERSION_TABLE, "compare_type": True}
        )
        return compare_metadata(context, _schema.METADATA)

    engine = create_engine(url.partition("?")[0])
    with engine.connect() as connection:
        assert differences(connection) == []
    engine.dispose()


async def test_a_file_is_made_with_its_tables_by_the_first_save(tmp_path: Path) -> None:
    backend = SqlConfigBackend.from_url(f"sqlite:///{tmp_path}/new.db")
    assert [*tmp_path.iterdir()] == []
    await asyncio.gather(*(backend.save(bundle(f"orders{n}")) for n in range(8)))
    assert len(await backend.list()) == 8
    assert await backend.upgrade() == []
    await backend.aclose()


async def test_an_upgrade_tells_what_it_did(tmp_path: Path) -> None:
    backend = SqlConfigBackend.from_url(f"sqlite:///{tmp_path}/new.db")
    assert await backend.upgrade() == ["0001", "0002"]
    await backend.aclose()


@pytest.mark.slow
def test_of_many_processes_that_find_no_file_all_can_use_it(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pyfly.config_server import ConfigSource
from pyfly.config_sql import SqlConfigBackend

async def main():
    backend = SqlConfigBackend.from_url("sqlite:///{tmp_path}/new.db")
    print("ready", flush=True)
    sys.stdin.readline()
    await backend.save(ConfigSource(application=sys.argv[1], profile="prod", properties={{}}))
    await backend.aclose()

asyncio.run(main())
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, f"orders{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for number in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60) for process in processes]
    assert [err for _, err in told] == [""] * PROCESSES

    async def stored() -> list[ConfigSource]:
        backend = SqlConfigBackend.from_url(f"sqlite:///{tmp_path}/new.db")
        found = await backend.list()
        await backend.aclose()
        return found

    assert len(asyncio.run(stored())) == PROCESSES


async def test_a_newer_schema_is_refused_by_name_and_left_alone(
    url: str, backend: SqlConfigBackend
) -> None:
    change(url, f"UPDATE {_schema.VERSION_TABLE} SET version_num = '0042'")
    for attempt in (backend.check, backend.upgrade, backend.list):
        with pytest.raises(BackendError, match="the schema '0042', which is newer than this"):
            await attempt()
    change(url, f"UPDATE {_schema.VERSION_TABLE} SET version_num = '0002'")
    await backend.check()


async def test_an_upgrade_that_fails_leaves_nothing_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    backend = SqlConfigBackend.from_url(url)
    upgrade = _schema.upgrade

    def fail(connection: Connection) -> list[str]:
        upgrade(connection)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_schema, "upgrade", fail)
    with pytest.raises(BackendError, match="No space left"):
        await backend.upgrade()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0
    engine.dispose()
    monkeypatch.setattr(_schema, "upgrade", upgrade)
    await backend.upgrade()
    await backend.aclose()


def test_what_an_older_schema_and_none_are_told() -> None:
    for found, is_old in ((None, True), ("0001", True), ("0002", False)):
        assert _schema.is_old(found) is is_old
    with pytest.raises(BackendError, match="no tables yet; run: pyfly-config db upgrade"):
        _schema.check_revision(None)
