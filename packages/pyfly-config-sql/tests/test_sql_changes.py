"""Telling changes: what another connection did, what happened while nobody could look."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from pyfly.config_core import BackendUnavailableError, ConfigKey
from pyfly.config_server import ConfigSource
from pyfly.config_sql import SqlConfigBackend, _changes

pytestmark = pytest.mark.anyio

SECONDS = 60
Open = Callable[[], SqlConfigBackend]


def bundle(application: str) -> ConfigSource:
    return ConfigSource(application=application, profile="prod", properties={})


def key(application: str) -> ConfigKey:
    return bundle(application).key


async def begun(
    backend: SqlConfigBackend,
) -> tuple[AsyncIterator[ConfigKey], "asyncio.Task[ConfigKey]"]:
    """Begin to read changes; return when the reader knows from where on."""
    stream = backend.changes()
    task = asyncio.ensure_future(anext(stream))
    while not any(w._seen is not None for w in backend._watchers):  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.01)
    return stream, task


async def test_what_another_process_would_do_is_told_in_order_and_joined(
    backend: SqlConfigBackend, open_again: Open
) -> None:
    stream, first = await begun(backend)
    other = open_again()
    for name in ("one", "two", "one", "three"):
        await other.save(bundle(name))
    await other.delete(ConfigKey(application="two", profile="prod"), expected="2")
    told = [await asyncio.wait_for(first, SECONDS)]
    while key("three") not in told or key("two") not in told:
        told.append(await asyncio.wait_for(anext(stream), SECONDS))
    assert told[0] == key("one")
    assert set(told) == {key("one"), key("two"), key("three")}
    await other.aclose()


async def test_more_changes_than_one_look_takes_are_all_told(
    backend: SqlConfigBackend, open_again: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_changes, "_BATCH", 3)
    stream, first = await begun(backend)
    other = open_again()
    names = [f"app{number}" for number in range(10)]
    for name in names:
        await other.save(bundle(name))
    told = [await asyncio.wait_for(first, SECONDS)]
    while len(told) < len(names):
        told.append(await asyncio.wait_for(anext(stream), SECONDS))
    assert told == [key(name) for name in names]
    await other.aclose()


async def test_what_changed_while_the_database_was_away_is_told_when_it_is_back(
    backend: SqlConfigBackend,
    open_again: Open,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, first = await begun(backend)
    other = open_again()
    async with other._database.engine.begin() as connection:  # away, as far as a reader can see
        await connection.execute(text("ALTER TABLE pyfly_config_sequence RENAME TO elsewhere"))
    while "changes cannot be seen" not in caplog.text:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.05)
    assert not first.done()
    async with other._database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO pyfly_config_sequence"))
    await other.save(bundle("orders"))
    assert await asyncio.wait_for(first, SECONDS) == key("orders")
    await other.aclose()


@pytest.mark.slow
async def test_an_older_copy_of_the_database_is_followed_from_where_it_is(
    backend: SqlConfigBackend, open_again: Open
) -> None:
    for _ in range(5):
        await backend.save(bundle("orders"))
    _, first = await begun(backend)
    other = open_again()
    async with other._database.engine.begin() as connection:
        await connection.execute(text("DELETE FROM pyfly_config_bundle"))
        await connection.execute(text("DELETE FROM pyfly_config_revision"))
        await connection.execute(text("UPDATE pyfly_config_sequence SET version = 0"))
    await asyncio.sleep(3 * _changes.POLL_SECONDS)  # a look at it
    while not first.done():  # looks and saves may cross on a busy machine
        await other.save(bundle("billing"))
        await asyncio.wait({first}, timeout=2 * _changes.POLL_SECONDS)
    assert first.result() == key("billing")
    await other.aclose()


async def test_closing_ends_a_reader_that_waits(backend: SqlConfigBackend) -> None:
    _, first = await begun(backend)
    await backend.aclose()
    with pytest.raises(BackendUnavailableError, match="closed"):
        await asyncio.wait_for(first, SECONDS)


async def test_a_file_that_cannot_be_opened_is_no_end_of_a_store(tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    backend = SqlConfigBackend.from_url(f"sqlite:///{path}")
    with pytest.raises(Exception, match="damaged, or no database"):
        await backend.check()
    path.unlink()
    await backend.check()
    await backend.aclose()
