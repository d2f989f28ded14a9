"""What the suite of every store does not ask: statements, versions of the whole, broken rows."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine

from pyfly.config_core import (
    BackendError,
    ConfigFormatError,
    ConfigKey,
    ConfigNotFoundError,
    InvalidConfigKeyError,
)
from pyfly.config_server import ConfigServer, ConfigSource, InMemoryConfigBackend, ServerOptions
from pyfly.config_server.storage import ABSENT, ANY
from pyfly.config_sql import SqlConfigBackend, _backend

ORDERS = ConfigKey(application="orders", profile="prod")

pytestmark = pytest.mark.anyio

Open = Callable[[], SqlConfigBackend]


def bundle(
    application: str = "orders", profile: str = "prod", label: str = "main", **properties: Any
) -> ConfigSource:
    return ConfigSource(
        application=application, profile=profile, label=label, properties=properties
    )


@contextmanager
def statements(backend: SqlConfigBackend) -> Generator[list[str]]:
    """Collect the statements that are sent in the block."""
    sent: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    engine = backend._database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


# --- one statement --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("application", "profile"),
    [
        ("orders", "prod"),
        ("orders,billing,inventory", "dev,prod,eu"),
        (",".join(f"app{n}" for n in range(15)), ",".join(f"p{n}" for n in range(15))),
    ],
)
async def test_a_request_is_one_statement(
    backend: SqlConfigBackend, application: str, profile: str
) -> None:
    for one in ("application", *application.split(",")[:3]):
        await backend.save(bundle(one, profile.rsplit(",", maxsplit=1)[-1], a=one))
    server = ConfigServer(backend)
    with statements(backend) as sent:
        document = (await server.compose(application, profile, None)).environment
    assert len(sent) == 1, sent
    assert {source.source["a"] for source in document.property_sources} == {
        "application",
        *application.split(",")[:3],
    }


async def test_the_label_is_asked_for_only_when_nothing_was_found(
    backend: SqlConfigBackend,
) -> None:
    await backend.save(bundle("billing", label="feature/x"))
    server = ConfigServer(backend)
    with statements(backend) as sent:
        document = (await server.compose("orders", "prod", "feature/x")).environment
        assert len(sent) == 4  # both again, because the label may have come just now
        with pytest.raises(ConfigNotFoundError):
            await server.compose("orders", "prod", "feature/y")
        assert len(sent) == 6
        await server.compose("orders", "prod", None)
        assert len(sent) == 8  # the default label exists
    assert document.property_sources == ()


async def test_keys_are_read_without_properties_and_hold_no_connection(
    backend: SqlConfigBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_backend, "NAMES", 2)
    monkeypatch.setattr(_backend, "CONTENTS", 2)
    for number in range(5):
        await backend.save(bundle(f"orders{number}", secret="x"))
    with statements(backend) as sent:
        names = []
        async for entry in backend.keys():
            names.append(entry.key.application)
            assert backend._database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert names == [f"orders{number}" for number in range(5)]
    assert len(sent) == 3
    assert not any("properties" in statement for statement in sent)
    assert [source.application for source in await backend.list()] == names


# --- versions -------------------------------------------------------------------------


async def version(server: ConfigServer, *names: str) -> str | None:
    return (await server.compose(*names, None)).environment.version  # type: ignore[arg-type,misc]


async def test_the_version_of_a_document_is_the_highest_of_its_parts_and_never_goes_back(
    backend: SqlConfigBackend,
) -> None:
    server = ConfigServer(backend)
    assert await version(server, "orders", "prod") is None
    await backend.commit(bundle("application", "default"), expected=ABSENT)
    await backend.commit(bundle("orders", "prod"), expected=ABSENT)
    await backend.commit(bundle("billing", "prod"), expected=ABSENT)
    assert await version(server, "orders", "prod") == "2"
    await backend.delete(ORDERS, expected="2")
    assert await version(server, "orders", "prod") == "4"
    await backend.delete(ORDERS, expected=ANY)
    assert await version(server, "orders", "prod") == "4"
    assert (await backend.changes_since(None)).cursor.startswith("4-")
    await backend.commit(bundle("orders", "prod"), expected=ABSENT)
    assert await version(server, "orders", "prod") == "5"
    assert await version(server, "billing", "prod") == "3"


async def test_versions_of_several_labels_stand_in_the_order_of_the_request(
    backend: SqlConfigBackend,
) -> None:
    for label in ("main", "next"):
        await backend.save(bundle(label=label))
    server = ConfigServer(backend, options=ServerOptions(continue_on_label_failure=True))
    found = [
        (await server.compose("orders", "prod", label)).environment.version
        for label in ("main,next", "next,main", "next,unknown")
    ]
    assert found == ["1,2", "2,1", "2"]


async def test_a_document_of_several_stores_has_no_version(backend: SqlConfigBackend) -> None:
    await backend.save(bundle())
    server = ConfigServer(backend, InMemoryConfigBackend())
    assert await version(server, "orders", "prod") is None


async def test_a_refused_change_takes_no_version(backend: SqlConfigBackend) -> None:
    await backend.save(bundle())
    for expected in (ABSENT, "7", "01"):
        with pytest.raises(Exception, match="is at version '1'"):
            await backend.commit(bundle(), expected=expected)
    await backend.delete(ConfigKey(application="billing", profile="prod"), expected=ANY)
    assert (await backend.changes_since(None)).cursor.startswith("1-")
    assert await backend.commit(bundle(), expected="1") == "2"


async def test_a_removal_is_part_of_the_history(backend: SqlConfigBackend) -> None:
    await backend.commit(bundle(a=1), expected=ABSENT, author="ada", message="begin")
    await backend.delete(ORDERS, expected="1")
    await backend.commit(bundle(a=2), expected=ABSENT)
    rows = await backend.history(ORDERS)
    assert [(row.version, row.deleted) for row in rows] == [("3", False), ("2", True), ("1", False)]
    assert await backend.fetch_version(ORDERS, version="2") is None
    assert await backend.fetch_version(ORDERS, version="01") is None
    old = await backend.fetch_version(ORDERS, version="1")
    assert old is not None
    assert old.properties == {"a": 1}


async def test_a_page_of_a_history_is_read_from_the_index_in_one_statement(
    backend: SqlConfigBackend,
) -> None:
    for number in range(4):
        await backend.save(bundle(number=number))
        await backend.save(bundle("billing"))
    for before in (None, "7", "3"):
        with statements(backend) as sent:
            await backend.history(ORDERS, limit=2, before=before)
        assert len(sent) == 1
        async with backend._database.engine.connect() as connection:
            values = ("main", "orders", "prod", 7, 3, 0)[: sent[0].count("?")]
            plan = await connection.exec_driver_sql("EXPLAIN QUERY PLAN " + sent[0], values)
            steps = [row[-1] for row in plan.all()]
        assert len(steps) == 1, steps  # nothing is sorted
        assert steps[0].startswith("SEARCH pyfly_config_revision USING INDEX"), steps


async def test_a_page_goes_on_before_a_removal(backend: SqlConfigBackend) -> None:
    await backend.save(bundle())
    await backend.delete(ORDERS, expected="1")
    await backend.save(bundle())
    rows = await backend.history(ORDERS, limit=2)
    assert [(row.version, row.deleted) for row in rows] == [("3", False), ("2", True)]
    older = await backend.history(ORDERS, before="2")
    assert [row.version for row in older] == ["1"]
    assert await backend.history(ORDERS, before="1") == []
    for version in ("4", "01", "9" * 40):
        with pytest.raises(ConfigNotFoundError, match="version"):
            await backend.history(ORDERS, before=version)


# --- names, labels, remarks -----------------------------------------------------------


async def test_names_that_differ_only_in_case_are_different_bundles(
    backend: SqlConfigBackend,
) -> None:
    for name in ("orders", "Orders", "ORDERS"):
        await backend.commit(bundle(name, name=name), expected=ABSENT)
    keys = [ConfigKey(application=name, profile="prod") for name in ("ORDERS", "orders", "oRders")]
    found = await backend.fetch_many(keys)
    assert [source and source.properties["name"] for source in found] == ["ORDERS", "orders", None]


async def test_the_default_label_exists_and_can_be_another(open_again: Open, url: str) -> None:
    backend = open_again()
    assert await backend.has_label("main")
    assert not await backend.has_label("trunk")
    await backend.aclose()
    backend = SqlConfigBackend.from_url(f"{url}&default_label=trunk")
    assert await backend.has_label("trunk")
    await backend.aclose()
    with pytest.raises(InvalidConfigKeyError):
        SqlConfigBackend.from_url(f"{url}&default_label=../x")


@pytest.mark.parametrize("remark", ["a\0b", "half \ud83d"])
async def test_remarks_that_not_every_database_keeps_are_refused(
    backend: SqlConfigBackend, remark: str
) -> None:
    for remarks in ({"author": remark}, {"message": remark}):
        with pytest.raises(ConfigFormatError, match="cannot be stored"):
            await backend.commit(bundle(), expected=ANY, **remarks)
    assert await backend.history(ORDERS) == []


async def test_a_number_too_long_for_text_is_refused(backend: SqlConfigBackend) -> None:
    with pytest.raises(ConfigFormatError, match="too many digits"):
        await backend.save(bundle(n=10**5000))


# --- rows of somebody else ------------------------------------------------------------


@pytest.mark.parametrize(
    "row", ["{", "[1]", "null", '"hunter2"', "[" * 5000, "9" * 5000, " " * 4_000_000]
)
async def test_a_broken_row_breaks_its_own_bundle_only(
    backend: SqlConfigBackend, row: str, caplog: pytest.LogCaptureFixture
) -> None:
    await backend.save(bundle("billing"))
    await backend.save(bundle("orders"))
    async with backend._database.engine.begin() as connection:
        await connection.execute(
            text("UPDATE pyfly_config_revision SET properties = :row WHERE version = 2"),
            {"row": row},
        )
    with pytest.raises(ConfigFormatError, match="orders/prod/main") as caught:
        await backend.fetch("orders", "prod")
    assert "hunter2" not in str(caught.value)
    assert [source.application for source in await backend.list()] == ["billing"]
    assert "left out: orders/prod/main" in caplog.text
    assert len([entry async for entry in backend.keys()]) == 2
    await backend.commit(bundle("orders", mended=True), expected="2")
    assert len(await backend.list()) == 2


async def test_tables_that_were_removed_are_missed_in_words(backend: SqlConfigBackend) -> None:
    await backend.check()
    async with backend._database.engine.begin() as connection:
        await connection.execute(text("DROP TABLE pyfly_config_revision"))
    with pytest.raises(BackendError, match="the tables are missing"):
        await backend.fetch("orders", "prod")


# --- engines of somebody else ---------------------------------------------------------


async def test_an_engine_that_was_handed_in_is_used_and_not_closed(url: str) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{url.partition('///')[2].partition('?')[0]}")
    backend = SqlConfigBackend(engine, default_label="trunk")
    await backend.save(bundle(a=1))
    await backend.aclose()
    with pytest.raises(BackendError, match="closed"):
        await backend.check()
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT count(*) FROM pyfly_config_bundle"))
        assert rows.scalar() == 1
    await engine.dispose()


async def test_commits_reach_the_disk_before_they_return(backend: SqlConfigBackend) -> None:
    await backend.check()
    async with backend._database.engine.connect() as connection:
        modes = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous")
        ]
    assert modes == ["wal", 2]  # 2 is FULL


@pytest.mark.measured
async def test_one_answer_is_made_of_at_most_8_mib_and_large_rows_are_parsed_in_a_thread(
    backend: SqlConfigBackend,
) -> None:
    keys = [ConfigKey(application=f"a{number}", profile="p") for number in range(9)]
    for key in keys:
        await backend.save(bundle(key.application, key.profile, k="x" * 1_000_000))
    began = time.thread_time()
    found = await backend.fetch_many(keys[:8])
    spent = time.thread_time() - began
    assert [source and source.size > 1_000_000 for source in found] == [True] * 8
    assert spent < 0.1  # of this thread, which is the loop's; measured: below 0.03
    with pytest.raises(ConfigFormatError, match="8,388,608 bytes of stored text in one answer"):
        await backend.fetch_many(keys)
