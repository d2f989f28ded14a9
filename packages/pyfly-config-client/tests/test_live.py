"""Live values are always whole and validated, and follow the configuration."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import msgspec
import pytest
from live_programs import PATIENCE, Cache, Db, document, threads, until
from pydantic import BaseModel

from pyfly.config_client import (
    ConfigClient,
    ConfigClientError,
    PropertyTypeError,
    Rejection,
    SyncConfigClient,
)

pytestmark = pytest.mark.anyio


async def test_a_value_follows_the_configuration(server: Any, program: Any) -> None:
    server.turns = [server.json(document(db__url="x", other=number)) for number in (1, 2)]
    server.answer_json(document(db__url="x", other=3))
    live = await program().live("db", Db)
    seen: list[Any] = []
    live.on_change(lambda old, new: seen.append((old, new)))
    await until(lambda: not server.turns)
    server.answer_json(document(db__url="x", db__poolSize=9))
    await until(lambda: seen)
    server.answer_json(document(db__url="y", db__pool_size="7"))
    await until(lambda: len(seen) == 2)
    assert seen == [(Db("x"), Db("x", 9)), (Db("x", 9), Db("y", 7))]
    assert live.value == Db("y", 7)
    assert live.value is live.value
    assert live.rejected is None


async def test_a_configuration_that_does_not_fit_is_rejected(
    server: Any, program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bad = document("v2", db__url="marker-value", db__pool_size="marker-value")
    server.answer_json(document("v1", db__url="x"))
    live = await program().live("db", Db)
    rejections: list[Rejection] = []
    changes: list[Any] = []
    states: list[Any] = []
    live.on_rejected(rejections.append)
    live.on_rejected(lambda _: states.append((live.value, live.rejected)))
    live.on_change(lambda old, new: changes.append((old, new, live.rejected)))
    server.answer_json(bad)
    await until(lambda: rejections)
    server.answer_json(document("v3", db__url="y"))
    await until(lambda: changes)
    (rejection,) = rejections
    assert rejection.version == "v2"
    assert "db.pool_size" in rejection.reason
    assert timedelta(0) <= datetime.now(UTC) - rejection.when < timedelta(seconds=PATIENCE)
    assert changes == [(Db("x"), Db("y"), None)]
    assert states == [(Db("x"), rejection)]
    assert "version v2 is rejected" in caplog.text
    assert "marker-value" not in caplog.text + repr(rejection) + repr(live)


async def test_a_rejection_is_logged_without_a_version_that_the_store_does_not_have(
    server: Any, program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.turns = [server.json(document(db__url="x"))]
    server.answer_json(document(db__url="y", db__pool_size="many"))
    live = await program().live("db", Db)
    await until(lambda: live.rejected)
    assert live.rejected.version is None
    assert "keeping the previous value; the new configuration is rejected: " in caplog.text


async def test_the_value_is_in_use_again_after_the_mistake_is_taken_back(
    server: Any, program: Any
) -> None:
    server.answer_json(document(db__url="x"))
    live = await program().live("db", Db)
    first = live.value
    seen: list[Any] = []
    live.on_change(lambda *both: seen.append(both))
    server.answer_json(document(db__pool_size=1))
    await until(lambda: live.rejected)
    assert live.value is first
    server.answer_json(document(db__url="x"))
    await until(lambda: live.rejected is None)
    assert live.value is first
    assert seen == []


async def test_a_first_configuration_that_does_not_fit_is_an_error(
    server: Any, program: Any
) -> None:
    server.answer_json(document(db__pool_size="marker-value"))
    with pytest.raises(PropertyTypeError, match=r"db\.pool_size") as caught:
        await program().live("db", Db)
    assert "marker-value" not in str(caught.value)
    assert threads() == []


async def test_there_is_no_value_without_a_configuration(server: Any, program: Any) -> None:
    server.answer(b"", status="404 Not Found")
    with pytest.raises(ConfigClientError, match="answered 404"):
        await program().live("db", Db)


async def test_a_class_that_raises_rejects_the_configuration(
    server: Any, program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        def __init__(self, text: str) -> None:
            if text == "bad":
                raise RuntimeError("marker-value")
            self.text = text

        def __eq__(self, other: object) -> bool:
            if self.text == "incomparable":
                raise RuntimeError("marker-value")
            return False

        __hash__ = None  # type: ignore[assignment]

    server.answer_json(document(a="good"))
    live = await program().live("a", Odd)
    for text in ("bad", "incomparable"):
        server.answer_json(document(text, a=text))
        await until(lambda text=text: live.rejected and live.rejected.version == text)
    assert live.value.text == "good"
    assert "RuntimeError" in str(live.rejected)
    assert "marker-value" not in caplog.text


async def test_live_values_of_one_client_decide_for_themselves(server: Any, program: Any) -> None:
    server.answer_json(document(db__url="x", cache__size=1))
    one = program()
    db = await one.live("db", Db)
    cache = await one.live("cache", Cache)
    whole = await one.live("", dict[str, Any])
    server.answer_json(document(db__url="y", cache__size="many"))
    await until(lambda: cache.rejected)
    await until(lambda: db.value == Db("y"))
    assert cache.value == Cache(1)
    await until(lambda: whole.value == {"db": {"url": "y"}, "cache": {"size": "many"}})


async def test_sections_of_one_class_change_together(server: Any, program: Any) -> None:
    @dataclass(frozen=True)
    class Settings:
        db: Db
        cache: Cache

    server.answer_json(document(db__url="x", cache__size=1))
    live = await program().live("", Settings)
    server.answer_json(document(db__url="y", cache__size="many"))
    await until(lambda: live.rejected)
    assert live.value == Settings(Db("x"), Cache(1))
    server.answer_json(document(db__url="y", cache__size=2))
    await until(lambda: live.value == Settings(Db("y"), Cache(2)))


async def test_a_client_may_start_from_a_snapshot_that_fits(
    server: Any, program: Any, tmp_path: Any
) -> None:
    how = {
        "snapshot_dir": tmp_path / "state",
        "validate": lambda properties: properties.bind("db", Db),
    }
    server.answer_json(document(db__url="x"))
    await program(**how).fetch()
    server.answer_json(document(db__pool_size=1))
    live = await program(**how).live("db", Db)
    assert (live.value, live.rejected) == (Db("x"), None)
    server.answer_json(document(db__url="y"))
    await until(lambda: live.value == Db("y"))


class DbModel(BaseModel):
    url: str
    pool_size: int = 5


@attrs.frozen
class DbAttrs:
    url: str
    pool_size: int = 5


class DbStruct(msgspec.Struct):
    url: str
    pool_size: int = 5


@pytest.mark.parametrize("model", [DbModel, DbAttrs, DbStruct])
async def test_every_kind_of_class_is_followed(server: Any, arguments: Any, model: Any) -> None:
    server.answer_json(document(db__url="x"))
    client = ConfigClient(**arguments)
    async with client.live("db", model, watch=False) as live:
        server.answer_json(document(db__url="x", db__pool_size="many"))
        await client.fetch()
        assert (live.value, bool(live.rejected)) == (model(url="x"), True)
        server.answer_json(document(db__url="y", db__poolSize="7"))
        await client.fetch()
        assert (live.value, live.rejected) == (model(url="y", pool_size=7), None)


def test_no_thread_ever_reads_half_a_change(server: Any, arguments: Any) -> None:
    @dataclass(frozen=True)
    class Pair:
        left: int
        right: int

    server.answer_json(document(left=0, right=0))
    client = SyncConfigClient(**arguments)
    torn: list[Pair] = []
    versions: set[int] = set()
    done = threading.Event()
    with client.live("", Pair, watch=False) as live:

        def read() -> None:
            while not done.wait(0.0005):
                pair = live.value
                versions.add(pair.left)
                if pair.left != pair.right:
                    torn.append(pair)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for one in readers:
            one.start()
        for number in range(1, 20):
            server.answer_json(document(left=number, right=number))
            client.fetch()
            assert live.value == Pair(number, number)
        done.set()
        for one in readers:
            one.join()
    assert torn == []
    assert len(versions) > 1


def test_live_values_and_the_client_never_disagree_for_long(server: Any, arguments: Any) -> None:
    """Threads that fetch at the same time leave the live value at what the client has."""
    client = SyncConfigClient(**arguments)
    server.answer_json(document(a=0))
    with client.live("a", int, watch=False) as live:
        for number in range(1, 6):
            server.turns = [server.json(document(a=number * 10 + one)) for one in range(4)]
            fetching = [threading.Thread(target=client.fetch) for _ in range(4)]
            for one in fetching:
                one.start()
            for one in fetching:
                one.join()
            assert client.current is not None
            assert live.value == client.current["a"]


async def test_a_value_that_was_not_entered_says_so(arguments: Any) -> None:
    live = ConfigClient(**arguments).live("db", Db)
    assert repr(live) == "AsyncLive('db', Db)"
    with pytest.raises(ConfigClientError, match="enter it with 'async with'"):
        _ = live.value
