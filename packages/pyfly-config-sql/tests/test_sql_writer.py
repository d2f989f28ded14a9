"""Changes that are written together: each under its own condition, all or none durable."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from pyfly.config_core import BackendError, BackendUnavailableError, ConfigConflictError, ConfigKey
from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import ABSENT, ANY, Expected
from pyfly.config_sql import SqlConfigBackend, _writer

ORDERS = ConfigKey(application="orders", profile="prod")

pytestmark = pytest.mark.anyio

Open = Callable[[], SqlConfigBackend]


def bundle(application: str = "orders", **properties: Any) -> ConfigSource:
    return ConfigSource(application=application, profile="prod", properties=properties)


def commits(backend: SqlConfigBackend) -> list[object]:
    """Collect the transactions that are committed from now on."""
    made: list[object] = []
    event.listen(backend._database.engine.sync_engine, "commit", made.append)
    return made


async def together(backend: SqlConfigBackend, *changes: tuple[str, Expected]) -> list[object]:
    """Commit at the same time; return the versions and errors."""
    made = (
        backend.commit(bundle(name, number=number), expected=expected)
        for number, (name, expected) in enumerate(changes)
    )
    return [*await asyncio.gather(*made, return_exceptions=True)]


async def test_changes_that_wait_are_one_transaction(backend: SqlConfigBackend) -> None:
    await backend.check()
    made = commits(backend)
    versions = await together(backend, *((f"app{n}", ABSENT) for n in range(50)))
    assert versions == [str(n) for n in range(1, 51)]
    assert len(made) == 1
    assert len(await backend.list()) == 50


async def test_a_condition_sees_the_changes_before_it_in_the_same_transaction(
    backend: SqlConfigBackend,
) -> None:
    await backend.save(bundle("orders"))
    made = commits(backend)
    outcomes = await together(
        backend,
        ("orders", "1"),
        ("orders", "1"),
        ("billing", ABSENT),
        ("billing", ABSENT),
        ("orders", "2"),
        ("orders", ANY),
        ("absent", "3"),
    )
    assert len(made) == 1
    errors = [outcomes[place] for place in (1, 3, 6)]
    assert [outcomes[place] for place in (0, 2, 4, 5)] == ["2", "3", "4", "5"]
    assert all(isinstance(error, ConfigConflictError) for error in errors)
    assert [getattr(error, "current", "?") for error in errors] == ["2", "3", None]
    rows = await backend.history(ORDERS)
    assert [row.version for row in rows] == ["5", "4", "2", "1"]
    for version, number in (("2", 0), ("4", 4), ("5", 5)):
        found = await backend.fetch_version(ORDERS, version=version)
        assert found is not None
        assert found.properties == {"number": number}
    current = await backend.fetch("orders", "prod")
    assert current is not None
    assert current.version == "5"


async def test_a_removal_and_a_new_bundle_stand_in_one_transaction(
    backend: SqlConfigBackend,
) -> None:
    await backend.save(bundle(old=True))
    await asyncio.gather(
        backend.delete(ORDERS, expected="1"),
        backend.commit(bundle(new=True), expected=ABSENT),
        backend.delete(ConfigKey(application="billing", profile="prod"), expected=ANY),
    )
    assert [row.deleted for row in await backend.history(ORDERS)] == [False, True, False]
    assert [source.properties for source in await backend.list()] == [{"new": True}]
    assert (await backend.changes_since(None)).cursor.startswith("3-")


async def test_a_transaction_that_fails_is_told_to_everybody_and_changes_nothing(
    backend: SqlConfigBackend,
) -> None:
    await backend.save(bundle("before"))
    engine = backend._database.engine.sync_engine

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    event.listen(engine, "commit", fail)
    outcomes = await together(backend, ("orders", ABSENT), ("billing", ANY), ("before", "7"))
    event.remove(engine, "commit", fail)
    assert [type(outcome) for outcome in outcomes] == [BackendUnavailableError] * 3
    assert [source.application for source in await backend.list()] == ["before"]
    assert await backend.commit(bundle("orders"), expected=ABSENT) == "2"


async def test_a_caller_that_gives_up_takes_nobody_along(backend: SqlConfigBackend) -> None:
    tasks = [
        asyncio.ensure_future(backend.commit(bundle(f"app{n}"), expected=ABSENT)) for n in range(9)
    ]
    await asyncio.sleep(0)  # one turn of the loop: all of them wait
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(outcome, str) for outcome in outcomes] == [False, True] * 4 + [False]
    names = {source.application for source in await backend.list()}
    assert {f"app{n}" for n in (1, 3, 5, 7)} <= names


async def test_a_change_that_has_waited_too_long_is_refused(
    backend: SqlConfigBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backend.check()
    monkeypatch.setattr(_writer, "QUEUE_SECONDS", -1.0)
    with pytest.raises(BackendUnavailableError, match="too many writers; nothing was written"):
        await backend.save(bundle())
    assert await backend.list() == []


async def test_large_changes_are_not_all_taken_at_once(
    backend: SqlConfigBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_writer, "_MOST_TEXT", 20)
    await backend.check()
    made = commits(backend)
    await together(backend, *((f"app{n}", ABSENT) for n in range(6)))
    assert len(made) == 3
    assert len(await backend.list()) == 6


async def test_a_writer_that_took_no_turn_is_noticed(
    backend: SqlConfigBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backend.save(bundle())
    plan = _writer.WritePlan

    def late(last: int, places: Any) -> Any:
        return plan(last - 1, places)  # as if the sequence had moved since it was read

    monkeypatch.setattr(_writer, "WritePlan", late)
    with pytest.raises(BackendError, match="a concurrent write; nothing was written"):
        await backend.save(bundle(lost=True))
    monkeypatch.setattr(_writer, "WritePlan", plan)
    assert [source.properties for source in await backend.list()] == [{}]
