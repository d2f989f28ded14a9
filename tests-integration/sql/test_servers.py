"""What only a database server can show: commits that tell, credentials, TLS, its defaults."""

import asyncio
import logging
import string
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigKey,
)
from pyfly.config_server import ConfigServer, ConfigSource
from pyfly.config_sql import SqlConfigBackend, _changes, _schema

pytestmark = pytest.mark.anyio

SECONDS = 60
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
    assert await backend.upgrade() == ["0001"]
    assert await backend.upgrade() == []
    async with backend._database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await backend.check()
    await backend.aclose()


async def test_upgrades_at_the_same_time_make_the_tables_once(postgres: Any) -> None:
    url = postgres.database("together")
    backends = [SqlConfigBackend.from_url(url) for _ in range(4)]
    steps = await asyncio.gather(*(backend.upgrade() for backend in backends))
    assert sorted(steps) == [[], [], [], ["0001"]]
    for backend in backends:
        await backend.aclose()


async def test_an_upgrade_that_was_cut_off_can_be_repeated(server: Any) -> None:
    backend = SqlConfigBackend.from_url(server.database("cut_off"))
    await backend.upgrade()
    await backend.save(bundle(kept=True))
    async with backend._database.engine.begin() as connection:  # where MariaDB would leave it
        await connection.execute(text(f"DELETE FROM {_schema.VERSION_TABLE}"))
    assert await backend.upgrade() == ["0001"]
    assert await backend.change_token() == "1"
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
        assert (await config.environment("orders", "prod", None)).version == "2"
        await backend.delete(ConfigKey(application="orders", profile="prod"), expected="2")
        assert (await config.environment("orders", "prod", None)).version == "4"


# --- changes --------------------------------------------------------------------------


async def begun(
    backend: SqlConfigBackend,
) -> tuple[AsyncIterator[ConfigKey], "asyncio.Task[ConfigKey]"]:
    stream = backend.changes()
    task = asyncio.ensure_future(anext(stream))
    while not any(  # noqa: ASYNC110 - no event
        watcher._is_listening() for watcher in backend._watchers
    ):
        await asyncio.sleep(0.01)
    return stream, task


async def test_a_commit_tells_by_itself(
    postgres: Any, open_empty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_changes, "POLL_SECONDS", 3600.0)
    url = postgres.database("hints")
    async with open_empty(url) as backend, asyncio.timeout(SECONDS):
        other = SqlConfigBackend.from_url(url)
        stream, first = await begun(backend)
        while not first.done():  # the first one may be made before it listens
            await other.save(bundle("orders"))
            await asyncio.wait({first}, timeout=1)
        await other.save(bundle("billing"))
        while await anext(stream) != bundle("billing").key:
            pass
        await stream.aclose()  # type: ignore[attr-defined]
        await other.aclose()


async def test_a_listener_that_lost_its_connection_listens_again(
    postgres: Any, open_empty: Any
) -> None:
    url = postgres.database("listeners")
    async with open_empty(url) as backend, asyncio.timeout(SECONDS):
        stream, first = await begun(backend)
        (watcher,) = backend._watchers
        lost = watcher._driver
        await asyncio.sleep(0)
        postgres.server.psql(f"SELECT pg_terminate_backend({lost.get_server_pid()});")
        while watcher._driver is lost or watcher._driver is None:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
        await backend.save(bundle("orders"))
        assert await first == bundle("orders").key
        await stream.aclose()  # type: ignore[attr-defined]


async def test_readers_of_changes_take_no_place_in_the_pool(postgres: Any, open_empty: Any) -> None:
    async with open_empty(postgres.database("places")) as backend:
        streams = [await begun(backend) for _ in range(8)]  # more than the pool has
        assert backend._database.engine.pool.checkedout() == 0
        await asyncio.gather(*(backend.check() for _ in range(8)))
        for stream, task in streams:
            task.cancel()
            await asyncio.wait({task})
            await stream.aclose()  # type: ignore[attr-defined]


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
    with pytest.raises(BackendError, match=r"PgBouncer write \?pgbouncer=true"):
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
