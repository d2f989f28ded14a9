"""Freezes: what they cover, the text that holds them, and every write of `Bundles`."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import (
    BackendError,
    BackendUnavailableError,
    ConfigConflictError,
    ConfigFormatError,
    ConfigFrozenError,
    ConfigKey,
    UnsupportedOperationError,
)
from pyfly.config_server import (
    Bundles,
    ConfigServer,
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
    RoutingBackend,
    StandbyBackend,
    StoreRoute,
)
from pyfly.config_server.access import BundlePattern
from pyfly.config_server.freezes import (
    Freeze,
    change_freezes,
    check_not_frozen,
    clear_freezes,
    encode_freezes,
    freeze_of,
    load_freezes,
    parse_freezes,
)
from pyfly.config_server.storage import ANY, ConfigBackend

NOW = datetime(2026, 11, 27, 19, 0, 0, tzinfo=UTC)
KEY = ConfigKey(application="orders", profile="prod", label="main")


def freeze(id_: str = "k3vq7a", on: str = "*/*/*", **more: Any) -> Freeze:
    fields: dict[str, Any] = {"reason": "release 1.4", "made_by": "ada", "made_at": NOW}
    return Freeze(id=id_, on=BundlePattern(on), **{**fields, **more})


def source(application: str = "orders", label: str = "main") -> ConfigSource:
    return ConfigSource(application=application, profile="prod", label=label, properties={"a": 1})


async def put(backend: ConfigBackend, *freezes: Freeze) -> None:
    await change_freezes(backend, lambda before: [*before, *freezes])


# --- what a freeze covers ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "application", "profile", "label", "covered"),
    [
        ("*/*/*", "orders", "prod", "main", True),
        ("*/*/*", "orders", "-", "feature/x", True),
        ("*/*/main", "orders", "prod", "main", True),
        ("*/*/main", "orders", "prod", "main/x", False),
        ("*/*/release/*", "orders", "prod", "release/1.4", True),
        ("*/*/release/*", "orders", "prod", "main", False),
        ("orders/*/*", "orders", "-", "main", True),
        ("orders/*/*", "orders-api", "prod", "main", False),
        ("orders*/prod/*", "orders-api", "prod", "main", True),
        ("orders*/prod/*", "orders-api", "dev", "main", False),
    ],
)
def test_a_freeze_covers_the_bundles_of_its_pattern(
    on: str, application: str, profile: str, label: str, *, covered: bool
) -> None:
    key = ConfigKey(application=application, profile=profile, label=label)
    assert freeze(on=on).covers(key) is covered
    assert (freeze_of([freeze(on=on)], key, now=NOW) is not None) is covered


def test_a_freeze_ends_by_itself() -> None:
    ending = freeze(until=NOW)
    assert ending.is_in_force(NOW - timedelta(seconds=1))
    assert not ending.is_in_force(NOW)
    assert freeze().is_in_force(NOW + timedelta(days=36_500))


def test_of_several_the_one_that_ends_last_is_told() -> None:
    hour, day = freeze("h", until=NOW + timedelta(hours=1)), freeze("d", until=NOW + timedelta(1))
    ended, forever, other = freeze("e", until=NOW), freeze("f"), freeze("o", "billing/*/*")
    assert freeze_of([hour, day, ended, other], KEY, now=NOW) is day
    assert freeze_of([hour, forever, day], KEY, now=NOW) is forever
    assert freeze_of([ended, other], KEY, now=NOW) is None


# --- the text ---------------------------------------------------------------------------


def test_a_text_holds_what_was_written() -> None:
    freezes = (
        freeze(until=NOW + timedelta(hours=2)),
        freeze("other", "a(_)b/*/feature/x", reason="„Grüße“ \\ \U0001f600", made_by=None),
    )
    text = encode_freezes(freezes)
    assert text.isascii()
    assert parse_freezes(text) == freezes
    assert parse_freezes(encode_freezes(())) == parse_freezes(None) == ()


def test_a_time_is_written_in_utc() -> None:
    local = datetime.fromisoformat("2026-11-28T09:00:00+01:00")
    row = json.loads(encode_freezes([freeze(until=local)]))["freezes"][0]
    assert (row["at"], row["until"]) == ("2026-11-27T19:00:00Z", "2026-11-28T08:00:00Z")


ROW = {"id": "a", "on": "*/*/*", "reason": "why", "at": "2026-11-27T19:00:00Z"}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"freezes": [{}], "freezes": []}', "a key is given twice"),
        ("[]", "the text is not a JSON object"),
        ({}, "the text is not"),
        ({"freezes": {}}, "the text is not"),
        ({"freezes": [], "more": 1}, "the text is not"),
        ({"freezes": [1]}, r"freezes\[0\] is not a JSON object"),
        ({"freezes": [ROW | {"since": "x"}]}, r"freezes\[0\] has an unknown key"),
        ({"freezes": [{"id": "a"}]}, r"freezes\[0\] has no key 'at'"),
        ({"freezes": [ROW | {"reason": 1}]}, r"freezes\[0\]\.reason is not a text"),
        ({"freezes": [ROW | {"on": "*"}]}, r"freezes\[0\]: .*three parts"),
        ({"freezes": [ROW | {"at": "now"}]}, r"freezes\[0\]: "),
        ({"freezes": [ROW | {"until": "2026-11-27T19:00:00"}]}, "needs an offset"),
        ({"freezes": [ROW | {"until": "9999-12-31T23:59:59-14:00"}]}, "years 1000 to 9999"),
        ({"freezes": [ROW | {"at": "0999-12-31T00:00:00Z"}]}, "years 1000 to 9999"),
        ({"freezes": [ROW, ROW]}, "the same id"),
    ],
)
def test_a_broken_text_is_refused_by_its_place(document: object, told: str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(ConfigFormatError, match=told):
        parse_freezes(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id_", "a b"),
        ("id_", ""),
        ("reason", " "),
        ("reason", "two\nlines"),
        ("reason", "\x1b[31m"),
        ("reason", "x" * 501),
        ("made_by", ""),
        ("made_by", "x" * 257),
        ("made_at", datetime(2026, 11, 27)),  # noqa: DTZ001 - what is refused
    ],
)
def test_a_freeze_that_could_not_be_shown_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigFormatError):
        freeze(**{field: value})


def test_too_many_freezes_are_refused() -> None:
    with pytest.raises(ConfigFormatError, match="too many freezes"):
        encode_freezes(freeze(f"id{n}", reason="x" * 500) for n in range(2_000))


# --- the store --------------------------------------------------------------------------

Write = Callable[[Bundles], Awaitable[object]]
WRITES: dict[str, Write] = {
    "save": lambda bundles: bundles.save(source()),
    "commit": lambda bundles: bundles.commit(source(), expected=ANY),
    "change": lambda bundles: bundles.change(KEY, lambda tree: {**tree, "b": 2}, expected=ANY),
    "delete": lambda bundles: bundles.delete(KEY, expected=ANY),
    "rollback": lambda bundles: bundles.rollback(KEY, version="no such one", expected=ANY),
}
writes = pytest.mark.parametrize("write", [pytest.param(w, id=n) for n, w in WRITES.items()])


@pytest.fixture
async def memory() -> InMemoryConfigBackend:
    backend = InMemoryConfigBackend()
    await backend.save(source())
    return backend


@writes
@pytest.mark.anyio
async def test_every_write_is_refused_with_reason_and_end(
    memory: InMemoryConfigBackend, write: Write
) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    await put(memory, freeze(until=until))
    before = await memory.list()
    with pytest.raises(ConfigFrozenError, match="orders/prod/main is frozen until") as e:
        await write(Bundles(memory))
    told = (e.value.name, e.value.freeze, e.value.reason, e.value.until)
    assert told == ("orders/prod/main", "k3vq7a", "release 1.4", until)
    assert await memory.list() == before


@writes
@pytest.mark.anyio
async def test_what_is_not_covered_and_what_has_ended_does_not_stop_a_write(
    memory: InMemoryConfigBackend, write: Write
) -> None:
    await put(memory, freeze("a", "billing/*/*"), freeze("b", until=NOW - timedelta(days=9)))
    try:
        await write(Bundles(memory))
    except ConfigFrozenError:
        pytest.fail("it was refused")
    except LookupError:  # the rollback to a version that does not exist
        pass


@writes
@pytest.mark.anyio
async def test_nothing_is_written_if_the_freezes_cannot_be_read(
    memory: InMemoryConfigBackend, write: Write
) -> None:
    await memory.store_freezes("{", expected=None)
    before = await memory.list()
    with pytest.raises(BackendError, match=r"nothing is written.*not JSON.*unfreeze STORE"):
        await write(Bundles(memory))
    assert await memory.list() == before
    assert (await Bundles(memory).load(KEY)).properties == {"a": 1}


@pytest.mark.anyio
async def test_a_save_of_the_server_is_refused_and_reads_go_on(
    memory: InMemoryConfigBackend,
) -> None:
    await put(memory, freeze())
    server = ConfigServer(memory)
    with pytest.raises(ConfigFrozenError):
        await server.save("orders", "prod", {})
    assert (await server.fetch("orders", "prod"))["propertySources"]


@pytest.mark.anyio
async def test_writing_is_possible_again_when_a_freeze_is_removed(
    memory: InMemoryConfigBackend,
) -> None:
    await put(memory, freeze(), freeze("second"))
    await change_freezes(memory, lambda before: [one for one in before if one.id != "k3vq7a"])
    assert [one.id for one in await load_freezes(memory)] == ["second"]
    await clear_freezes(memory)
    assert [*await load_freezes(memory)] == []
    await Bundles(memory).save(source())


@pytest.mark.anyio
async def test_a_store_of_three_methods_is_written_and_cannot_be_frozen() -> None:
    class Plain:
        saved: list[ConfigSource]

        def __init__(self) -> None:
            self.saved = []

        async def fetch(self, application: str, profile: str, label: str = "main") -> None:
            return None

        async def save(self, source: ConfigSource) -> None:
            self.saved.append(source)

        async def list(self) -> list[ConfigSource]:
            return self.saved

    plain = Plain()
    await Bundles(plain).save(source())
    assert len(plain.saved) == 1
    with pytest.raises(UnsupportedOperationError, match="Plain does not support freezes"):
        await put(plain, freeze())
    with pytest.raises(UnsupportedOperationError):
        await load_freezes(plain)


@pytest.mark.anyio
async def test_each_store_of_a_routing_has_its_own_freezes() -> None:
    main, billing = InMemoryConfigBackend(), InMemoryConfigBackend()
    routing = RoutingBackend(main, [StoreRoute(applications=("billing",), backend=billing)])
    bundles = Bundles(routing)
    await put(billing, freeze())
    await bundles.save(source("orders"))
    with pytest.raises(ConfigFrozenError, match="billing/prod/main"):
        await bundles.save(source("billing"))
    with pytest.raises(ConfigFrozenError, match="billing/prod/main"):
        await bundles.check_not_frozen([source("orders").key, source("billing").key])


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_store_that_is_away_is_not_written_although_its_standby_answers(
    tmp_path: Path,
) -> None:
    class Away(InMemoryConfigBackend):
        is_away = False

        async def fetch(
            self, application: str, profile: str, label: str = "main"
        ) -> ConfigSource | None:
            self.check_reachable()
            return await super().fetch(application, profile, label)

        async def load_freezes(self) -> str | None:
            self.check_reachable()
            return await super().load_freezes()

        def check_reachable(self) -> None:
            if self.is_away:
                raise BackendUnavailableError("away")

    store = Away()
    await store.save(source())
    async with asyncio.timeout(60):
        backend = StandbyBackend(store, tmp_path / "standby")
        bundles = Bundles(backend)
        await bundles.load(KEY)
        while not backend.has_records:
            await asyncio.to_thread(time.sleep, 0.01)  # another thread writes them
        store.is_away = True
        assert (await bundles.load(KEY)).properties == {"a": 1}
        with pytest.raises(BackendUnavailableError):
            await bundles.save(source())
        await backend.aclose()


@pytest.mark.anyio
async def test_freezes_of_several_writers_are_all_kept(memory: InMemoryConfigBackend) -> None:
    await asyncio.gather(*(put(memory, freeze(f"id{number}")) for number in range(8)))
    assert {one.id for one in await load_freezes(memory)} == {f"id{number}" for number in range(8)}


@pytest.mark.anyio
async def test_a_writer_that_is_never_first_gives_up() -> None:
    class Busy(InMemoryConfigBackend):
        async def store_freezes(
            self,
            text: str,
            *,
            expected: str | None,
            author: str | None = None,
            message: str | None = None,
        ) -> None:
            raise ConfigConflictError("the list of freezes", "other")

    with pytest.raises(ConfigConflictError):
        await put(Busy(), freeze())


@pytest.mark.anyio
async def test_the_freezes_of_a_store_are_read_once_for_many_bundles() -> None:
    class Counting(InMemoryConfigBackend):
        loads = 0

        async def load_freezes(self) -> str | None:
            self.loads += 1
            return await super().load_freezes()

    counting = Counting()
    keys = [ConfigKey(application=f"a{n}", profile="prod") for n in range(9)]
    await check_not_frozen(counting, keys)
    await check_not_frozen(counting, [])
    assert counting.loads == 1


# --- a directory ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{", "\udcff", "", "x" * 1_100_000])
@pytest.mark.anyio
async def test_a_broken_file_stops_writes_and_can_be_removed_as_a_whole(
    backend: FilesystemConfigBackend, write: Callable[..., Path], text: str
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    file = write(".pyfly-config-freezes.json", text.encode(errors="surrogateescape"))
    bundles = Bundles(backend)
    with pytest.raises(BackendError, match="cannot be read, so nothing is written"):
        await bundles.save(source())
    assert (await bundles.load(KEY)).properties == {"a": 1}
    if len(text) < 1_000_000:
        await clear_freezes(backend)
    else:  # nobody reads as much; the file can be removed by hand
        with pytest.raises(ConfigFormatError, match=r"freezes\.json.*larger"):
            await clear_freezes(backend)
        file.unlink()
    await bundles.save(source())
    await backend.aclose()


@pytest.mark.parametrize("kind", ["link to nothing", "link out of the store", "directory"])
@pytest.mark.anyio
async def test_what_is_no_file_in_its_place_stops_writes(
    backend: FilesystemConfigBackend, write: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    file = tmp_path / ".pyfly-config-freezes.json"
    if kind == "directory":
        file.mkdir()
    else:
        file.symlink_to("nothing" if kind == "link to nothing" else "/etc/hostname")
    with pytest.raises(BackendError, match=r"cannot be read, so|link out of the root"):
        await Bundles(backend).save(source())
    assert (await Bundles(backend).load(KEY)).properties == {"a": 1}
    await backend.aclose()


@pytest.mark.parametrize("layout", ["", "?layout=spring"])
@pytest.mark.anyio
async def test_the_file_is_in_the_root_and_hidden(tmp_path: Path, layout: str) -> None:
    backend = FilesystemConfigBackend.from_url(f"{tmp_path.as_uri()}{layout}")
    await backend.save(source())
    [file] = [one.path async for one in backend.resources("main")]
    cursor = (await backend.changes_since(None)).cursor
    await put(backend, freeze())
    assert (tmp_path / ".pyfly-config-freezes.json").is_file()
    assert [one.id for one in await load_freezes(backend)] == ["k3vq7a"]
    assert (await backend.changes_since(cursor)).changes == ()
    assert [one.path async for one in backend.resources("main")] == [file]
    assert len(await backend.list()) == 1
    await backend.aclose()


@pytest.mark.parametrize("on", ["orders/*/*", "orders-api/*/*"])
@pytest.mark.anyio
async def test_no_other_name_of_a_file_leads_past_a_freeze(
    tmp_path: Path, write: Callable[..., Path], on: str
) -> None:
    write("orders.yml", "a: 1\n")
    write("orders-api.yml", "a: 1\n")
    backend = FilesystemConfigBackend.from_url(f"{tmp_path.as_uri()}?layout=spring")
    bundles = Bundles(backend)
    names = [("orders", "api"), ("orders-api", "-")]
    keys = [ConfigKey(application=one, profile=profile) for one, profile in names]
    [listed] = [key async for key in bundles.names() if key in keys]
    await put(backend, freeze(on=on))
    for key in keys:
        if BundlePattern(on).matches(key) or BundlePattern(on).matches(listed):
            with pytest.raises(ConfigFrozenError, match=str(key)):
                await bundles.change(key, lambda _: {"a": 2}, expected=ANY)
        else:
            await bundles.check_not_frozen([key])
    assert BundlePattern("orders/*/*").matches(listed)
    await backend.aclose()
