"""What only a database server can show: concurrent changes, credentials, TLS, defaults."""

import asyncio
import logging
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, text

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigKey,
)
from pyfly.config_server import ConfigServer, ConfigSource
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    BundleChange,
    Change,
    ChangeBatch,
    SupportsChangeHints,
    ability,
)
from pyfly.config_sql import SqlConfigBackend, _schema
from pyfly.config_sql import _statements as statements
from pyfly.config_sql._writer import PendingChange, WritePlan, write_plan

pytestmark = pytest.mark.anyio

SECONDS = 60

WRITERS, WRITES = 4, 25

SECRET = "hunter2-of-the-url"


def bundle(application: str = "orders", **properties: Any) -> ConfigSource:
    return ConfigSource(application=application, profile="prod", properties=properties)


@pytest.fixture(
    params=[
        "postgres",
        pytest.param("tcp_postgres", marks=pytest.mark.external),
        pytest.param("mariadb", marks=pytest.mark.external),
    ]
)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


# --- tables ---------------------------------------------------------------------------


async def test_the_tables_are_made_on_demand_only_and_are_those_of_the_code(server: Any) -> None:
    def differences(connection: Connection) -> Any:
        options = {"version_table": _schema.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, _schema.METADATA)

    backend = SqlConfigBackend.from_url(server.database("fresh"))
    for attempt in (backend.check, backend.list):
        with pytest.raises(BackendError, match="no tables yet; run: pyfly-config db upgrade URL"):
            await attempt()
    assert await backend.upgrade() == ["0001", "0002"]
    assert await backend.upgrade() == []
    async with backend._database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await backend.check()
    await backend.aclose()


async def test_upgrades_at_the_same_time_make_the_tables_once(postgres: Any) -> None:
    url = postgres.database("together")
    backends = [SqlConfigBackend.from_url(url) for _ in range(4)]
    steps = await asyncio.gather(*(backend.upgrade() for backend in backends))
    assert sorted(steps) == [[], [], [], ["0001", "0002"]]
    for backend in backends:
        await backend.aclose()


async def test_an_upgrade_that_was_cut_off_can_be_repeated(server: Any) -> None:
    backend = SqlConfigBackend.from_url(server.database("cut_off"))
    await backend.upgrade()
    await backend.save(bundle(kept=True))
    async with backend._database.engine.begin() as connection:  # where MariaDB would leave it
        await connection.execute(text(f"DELETE FROM {_schema.VERSION_TABLE}"))
    assert await backend.upgrade() == ["0001", "0002"]
    assert (await backend.changes_since(None)).cursor.startswith("1-")
    assert [source.properties for source in await backend.list()] == [{"kept": True}]
    await backend.aclose()


async def test_names_that_differ_only_in_case_are_different_bundles(
    server: Any, open_empty: Any
) -> None:
    async with open_empty(server.database("cases")) as backend:
        for name in ("Orders", "orders", "ORDERS"):
            await backend.save(bundle(name, name=name))
        keys = [ConfigKey(application=n, profile="prod") for n in ("orders", "ORDERS", "oRders")]
        found = await backend.fetch_many(keys)
        assert [s and s.properties["name"] for s in found] == ["orders", "ORDERS", None]
        assert [s.application for s in await backend.list()] == ["ORDERS", "Orders", "orders"]


async def test_the_version_of_a_document_never_goes_back(server: Any, open_empty: Any) -> None:
    async with open_empty(server.database("versions")) as backend:
        config = ConfigServer(backend)
        for name in ("application", "orders", "billing"):
            await backend.save(bundle(name))
        assert (await config.compose("orders", "prod", None)).environment.version == "2"
        await backend.delete(ConfigKey(application="orders", profile="prod"), expected="2")
        assert (await config.compose("orders", "prod", None)).environment.version == "4"


# --- changes --------------------------------------------------------------------------


async def test_every_change_of_concurrent_writers_is_named_exactly_once(
    server: Any, open_empty: Any
) -> None:
    url = server.database("concurrent")
    async with open_empty(url) as backend, asyncio.timeout(SECONDS):
        patient = f"{url}{'&' if '?' in url else '?'}pool_timeout=60&statement_timeout=30"
        stores = [SqlConfigBackend.from_url(patient) for _ in range(WRITERS)]
        cursor = (await backend.changes_since(None)).cursor
        named: list[Change] = []

        async def write(writer: int) -> None:
            for number in range(WRITES):
                await stores[writer].save(bundle(f"app-{writer}-{number}"))

        writers = [asyncio.ensure_future(write(writer)) for writer in range(WRITERS)]
        looks = 0
        while not all(writer.done() for writer in writers) or not looks:
            batch = await backend.changes_since(cursor)
            named += batch.changes
            cursor = batch.cursor
            looks += 1
        await asyncio.gather(*writers)
        named += (await backend.changes_since(cursor)).changes
        expected = [
            BundleChange(key=bundle(f"app-{writer}-{number}").key)
            for writer in range(WRITERS)
            for number in range(WRITES)
        ]
        assert Counter(named) == Counter(expected)
        assert looks > WRITES  # it did look in between
        for store in stores:
            await store.aclose()


async def test_a_change_is_not_named_before_those_with_lower_versions_are_committed(
    server: Any, open_empty: Any
) -> None:
    url = server.database("uncommitted")
    async with open_empty(url) as backend, asyncio.timeout(SECONDS):
        await backend.save(bundle("first"))
        start = (await backend.changes_since(None)).cursor
        slow, fast = SqlConfigBackend.from_url(url), SqlConfigBackend.from_url(url)
        async with slow._database.writing() as connection:
            plan = WritePlan(1, {})
            assert (await connection.execute(statements.lock_sequence())).scalar_one() == 1
            plan.add(PendingChange(key=bundle("slow").key, expected=ABSENT, properties="{}"))
            await write_plan(connection, plan)
            # The version 2 is written and not committed; who wants the next one waits for it.
            overtaking = asyncio.ensure_future(fast.save(bundle("fast")))
            await asyncio.wait({overtaking}, timeout=0.3)
            assert not overtaking.done()
            assert await backend.changes_since(start) == ChangeBatch(cursor=start)
            await connection.commit()
        await overtaking
        batch = await backend.changes_since(start)
        assert batch.changes == tuple(BundleChange(key=bundle(n).key) for n in ("slow", "fast"))
        for store in (slow, fast):
            await store.aclose()


async def test_asking_while_nothing_changes_reads_few_rows(server: Any, open_empty: Any) -> None:
    async with open_empty(server.database("idle")) as backend:
        saved_at = datetime.now(UTC).replace(tzinfo=None)
        rows = [
            {
                **statements.columns_of(bundle(f"app{number}").key),
                "version": number,
                "saved_at": saved_at,
                "properties": "{}",
            }
            for number in range(1, 3001)
        ]
        async with backend._database.engine.begin() as connection:
            await connection.execute(statements.record(), rows)
        cursor = (await backend.changes_since(None)).cursor
        async with backend._database.engine.connect() as connection:
            statement = statements.changed(3000, limit=1002).compile(
                connection.sync_engine, compile_kwargs={"literal_binds": True}
            )
            await connection.exec_driver_sql(
                "ANALYZE pyfly_config_revision"
                if connection.dialect.name == "postgresql"
                else "ANALYZE TABLE pyfly_config_revision"
            )
            plan = (await connection.exec_driver_sql(f"EXPLAIN {statement}")).all()
        shown = " ".join(str(row) for row in plan)
        assert "pyfly_config_revision_pkey" in shown or "'PRIMARY'" in shown, shown
        assert await backend.changes_since(cursor) == ChangeBatch(cursor=cursor)


async def test_only_postgres_that_is_not_shared_gives_hints(
    server: Any, request: pytest.FixtureRequest
) -> None:
    url = server.database("claims")
    backend = SqlConfigBackend.from_url(url)
    gives = url.startswith("postgresql")
    assert (ability(backend, SupportsChangeHints) is not None) == gives
    await backend.aclose()
    if gives:
        backend = SqlConfigBackend.from_url(f"{url}{'&' if '?' in url else '?'}pgbouncer=true")
        assert ability(backend, SupportsChangeHints) is None
        await backend.aclose()


async def test_the_author_and_the_reason_of_a_removal_are_kept(
    server: Any, open_empty: Any
) -> None:
    async with open_empty(server.database("remarks")) as backend:
        remarks = {"author": "Ada \U0001f980", "message": "no longer\nneeded"}
        await backend.save(bundle("orders"))
        await backend.delete(bundle("orders").key, expected="1", **remarks)
        row = (await backend.history(bundle("orders").key))[0]
        assert (row.deleted, row.author, row.message) == (True, *remarks.values())


async def test_labels_are_read_by_one_statement(server: Any, open_empty: Any) -> None:
    async with open_empty(server.database("labels")) as backend:
        for label in ("next", "main", "Main", "feature/x", "gone"):
            key = ConfigKey(application="orders", profile="prod", label=label)
            await backend.save(ConfigSource(**asdict(key), properties={}))
        await backend.delete(key, expected=ANY)
        sent: list[str] = []
        engine = backend._database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *parts: sent.append(parts[2]))
        assert await backend.labels() == ["Main", "feature/x", "main", "next"]
        assert len(sent) == 1


# --- credentials and TLS --------------------------------------------------------------


def told(error: BaseException | None) -> str:
    texts = ""
    while error is not None:
        texts += f"{error} {error!r} "
        error = error.__cause__ or error.__context__
    return texts


@pytest.mark.external
@pytest.mark.parametrize("name", ["tcp_postgres", "mariadb"])
async def test_a_wrong_password_is_told_and_not_shown(
    name: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = request.getfixturevalue(name).database("secrets")
    scheme, _, rest = url.partition("://pyfly:")
    backend = SqlConfigBackend.from_url(f"{scheme}://pyfly:{SECRET}@{rest.partition('@')[2]}")
    with pytest.raises(BackendAccessDeniedError, match="refuses access") as caught:
        await backend.check()
    shown = told(caught.value) + repr(backend) + caplog.text
    assert SECRET not in shown
    await backend.aclose()


@pytest.mark.external
async def test_a_pooler_of_which_nothing_was_said_is_told(pgbouncer: Any) -> None:
    backend = SqlConfigBackend.from_url(pgbouncer.database("unmentioned"))
    with pytest.raises(BackendError, match=r"use \?pgbouncer=true for a database behind PgBouncer"):
        await backend.check()
    await backend.aclose()


async def test_a_database_that_does_not_exist_is_told(
    server: Any, run_command: Callable[..., Any]
) -> None:
    url = server.database("there").replace("/there", "/elsewhere")
    backend = SqlConfigBackend.from_url(url)
    for attempt in (backend.check, backend.upgrade):
        with pytest.raises(BackendError, match="the database does not exist; create it"):
            await attempt()
    await backend.aclose()
    done = run_command("db", "upgrade", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the database does not exist; create it" in done.stderr
    assert "db upgrade" not in done.stderr


@pytest.mark.external
@pytest.mark.parametrize("name", ["tcp_postgres", "mariadb"])
async def test_a_user_and_a_password_may_hold_every_printable_character(
    name: str, request: pytest.FixtureRequest, run_command: Callable[..., Any]
) -> None:
    server = request.getfixturevalue(name)
    url = urlsplit(server.database("printable"))
    for number in range(2):
        password = "".join(map(chr, range(32, 127)))[:: -1 if number else 1] + "äß€"
        lacking = "'\"`\\,="  # quotes of statements, and what asyncpg does not escape for SCRAM
        user = f"all {number}" + "".join(c for c in string.punctuation if c not in lacking)
        for statement in _user_statements(name, user, password):
            server.run(statement)
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        own = url._replace(netloc=f"{login}@{url.netloc.rpartition('@')[2]}").geturl()
        backend = SqlConfigBackend.from_url(own)
        await backend.upgrade()
        await backend.save(bundle("orders", number=number))
        assert password not in repr(backend) + str(backend._database.engine.url)
        await backend.aclose()
        done = run_command("get", own, "orders", "prod")
        assert (done.returncode, done.stdout) == (0, f"number: {number}\n")


def _user_statements(server: str, user: str, password: str) -> list[str]:
    if server == "mariadb":
        text = password.replace("\\", "\\\\").replace("'", "''")
        name = f"'{user}'@localhost"
        return [f"CREATE USER {name} IDENTIFIED BY '{text}'", f"GRANT ALL ON *.* TO {name}"]
    text = password.replace("'", "''")
    return [f"CREATE ROLE \"{user}\" SUPERUSER LOGIN PASSWORD '{text}'"]


@pytest.mark.external
async def test_tls_is_used_and_verified_when_it_is_asked_for(
    tcp_postgres: Any, certificates: Any
) -> None:
    url = tcp_postgres.database("tls")
    right = f"{url}?sslmode=verify-full&sslrootcert={certificates.authority}"
    backend = SqlConfigBackend.from_url(right)
    await backend.upgrade()
    async with backend._database.engine.connect() as connection:
        rows = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert (await connection.execute(rows)).scalar() is True
    await backend.aclose()
    for wrong in (
        f"{url}?sslmode=verify-full&sslrootcert={certificates.other}",
        right.replace("@localhost:", "@127.0.0.1:"),  # the certificate is of localhost
    ):
        backend = SqlConfigBackend.from_url(wrong)
        with pytest.raises(BackendUnavailableError, match="certificate verify failed"):
            await backend.check()
        await backend.aclose()


# --- a server that is away or slow ----------------------------------------------------


async def test_a_server_that_nobody_listens_for_is_told_at_once(
    free_port: Callable[[], int],
) -> None:
    for scheme in ("postgresql", "mariadb"):
        backend = SqlConfigBackend.from_url(f"{scheme}://u:{SECRET}@127.0.0.1:{free_port()}/d")
        with pytest.raises(BackendUnavailableError, match="cannot be reached") as caught:
            await asyncio.wait_for(backend.check(), SECONDS)
        assert SECRET not in told(caught.value)
        await backend.aclose()


async def test_a_server_that_never_answers_is_given_up() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        for scheme in ("postgresql", "mariadb"):
            backend = SqlConfigBackend.from_url(
                f"{scheme}://u@127.0.0.1:{port}/d?connect_timeout=1&statement_timeout=1"
            )
            with pytest.raises(BackendUnavailableError, match="did not answer in time"):
                await asyncio.wait_for(backend.check(), SECONDS)
            await backend.aclose()


async def test_a_statement_that_takes_too_long_is_given_up_and_its_connection_comes_back(
    server: Any,
) -> None:
    url = server.database("slow")
    backend = SqlConfigBackend.from_url(f"{url}{'&' if '?' in url else '?'}statement_timeout=1")
    await backend.upgrade()
    sleep = "SELECT pg_sleep(30)" if url.startswith("postgres") else "SELECT SLEEP(30)"
    with pytest.raises(BackendUnavailableError):
        async with asyncio.timeout(SECONDS), backend._database.reading() as connection:
            await connection.execute(text(sleep))
    assert backend._database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await backend.check()
    await backend.aclose()


async def test_readers_go_on_while_a_writer_waits_for_another_process(server: Any) -> None:
    url = server.database("locks")
    backend = SqlConfigBackend.from_url(url)
    await backend.upgrade()
    await backend.save(bundle(n=1))
    other = SqlConfigBackend.from_url(url)
    async with other._database.writing() as connection:
        await connection.execute(text("UPDATE pyfly_config_sequence SET version = version + 1"))
        saves = [asyncio.ensure_future(backend.save(bundle(n=2))) for _ in range(3)]
        await asyncio.sleep(0.1)  # they have begun to wait; a fetch is right in any case
        for _ in range(20):
            found = await backend.fetch("orders", "prod")
            assert found is not None
            assert found.properties == {"n": 1}
    await asyncio.gather(*saves, return_exceptions=True)
    assert await backend.commit(bundle(n=3), expected=await _version(backend))
    for one in (backend, other):
        await one.aclose()


async def _version(backend: SqlConfigBackend) -> str:
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.version is not None
    return found.version
