"""`put KEY=VALUE` beside other writers: other properties stay, the same ones are a conflict."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._stores.property_changes import PropertyChange, store_change
from pyfly.config_cli._stores.writing import CommitInfo
from pyfly.config_core import ConfigConflictError, ConfigFormatError, ConfigKey, JsonValue
from pyfly.config_server import (
    Bundles,
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
)
from pyfly.config_server.storage import ABSENT, ANY, ConfigBackend, Expected

pytestmark = pytest.mark.anyio

KEY = ConfigKey(application="orders", profile="prod", label="main")
INFO = CommitInfo(author="ada", message=None)
STORED: dict[str, JsonValue] = {"a": 1, "db": {"url": "x", "pool": 4}}


class Busy(InMemoryConfigBackend):
    """A store in which somebody else writes just before a save, once for each planned write."""

    def __init__(self) -> None:
        super().__init__()
        self.planned: list[dict[str, JsonValue] | None] = []
        self.commits = 0

    async def commit(self, source: ConfigSource, **how: Any) -> str:
        self.commits += 1
        if self.planned:
            tree = self.planned.pop(0)
            if tree is None:
                await super().delete(KEY, expected=ANY)
            else:
                await super().commit(bundle(tree), expected=ANY)
        return await super().commit(source, **how)


def bundle(properties: dict[str, JsonValue]) -> ConfigSource:
    return ConfigSource(
        application=KEY.application, profile=KEY.profile, label=KEY.label, properties=properties
    )


async def put(
    store: ConfigBackend,
    *assignments: tuple[str, JsonValue],
    remove: tuple[str, ...] = (),
    expected: Expected | None = None,
) -> str | None:
    """Change properties as the command does after it has read the bundle."""
    change = PropertyChange(key=KEY, assignments=assignments, removals=remove)
    read = await store.fetch("orders", "prod")
    return await store_change(Bundles(store), change, read=read, expected=expected, info=INFO)


async def stored(store: ConfigBackend) -> Any:
    found = await store.fetch("orders", "prod")
    return None if found is None else found.properties


async def filled(*planned: dict[str, JsonValue] | None) -> Busy:
    store = Busy()
    await store.commit(bundle(STORED), expected=ABSENT)
    store.planned, store.commits = [*planned], 0
    return store


async def test_what_another_writer_stores_meanwhile_stays() -> None:
    first: dict[str, JsonValue] = {"a": 2, "db": {"url": "x", "pool": 4, "new": True}}
    second: dict[str, JsonValue] = {"a": 3, "db": {"url": "x", "pool": 4}, "more": [1]}
    store = await filled(first, second)
    version = await put(store, ("db.pool", 8), ("other", 1), remove=("db.url",))
    assert store.commits == 3
    assert await stored(store) == {"a": 3, "db": {"pool": 8}, "more": [1], "other": 1}
    assert version == (await Bundles(store).load(KEY)).version
    assert (await store.history(KEY))[0].author == "ada"


@pytest.mark.parametrize(
    ("change", "meanwhile"),
    [
        ({"assignments": ("db.pool", 8)}, {"db": {"pool": 5}}),
        ({"assignments": ("db.pool", 8)}, {"db": {"pool": "4"}}),
        ({"assignments": ("db.pool", 8)}, {"db.pool": 5, "db": {"pool": 4}}),
        ({"assignments": ("db.pool", 8)}, {"a": 1}),
        ({"assignments": ("b", 1)}, {"b": 1}),
        ({"remove": "db"}, {"db": {"url": "y", "pool": 4}}),
        ({"remove": "a"}, {"db": {}}),
    ],
)
async def test_a_change_of_the_same_properties_is_a_conflict(
    change: dict[str, Any], meanwhile: dict[str, JsonValue]
) -> None:
    store = await filled(meanwhile)
    assignments = [change["assignments"]] if "assignments" in change else []
    remove = (change["remove"],) if "remove" in change else ()
    with pytest.raises(ConfigConflictError) as lost:
        await put(store, *assignments, remove=remove)
    assert lost.value.current == (await Bundles(store).load(KEY)).version
    assert await stored(store) == meanwhile


async def test_a_bundle_that_was_removed_is_not_made_again() -> None:
    store = await filled(None)
    with pytest.raises(ConfigConflictError) as lost:
        await put(store, ("new", 1))
    assert lost.value.current is None
    assert await stored(store) is None


async def test_a_bundle_that_came_into_being_gets_the_properties_too() -> None:
    store = Busy()
    store.planned = [{"theirs": 1}]
    await put(store, ("mine", 2))
    assert await stored(store) == {"theirs": 1, "mine": 2}


async def test_a_condition_of_the_user_is_kept_and_any_overwrites() -> None:
    store = await filled({"a": 9})
    version = (await Bundles(store).load(KEY)).version
    with pytest.raises(ConfigConflictError):
        await put(store, ("b", 1), expected=version)
    assert (await stored(store), store.commits) == ({"a": 9}, 1)
    with pytest.raises(ConfigConflictError):
        await put(store, ("b", 1), expected=ABSENT)
    store.planned = [{"a": 7, "c": 1}]
    await put(store, ("a", 8), expected=ANY)
    assert await stored(store) == {"a": 8, "c": 1}


async def test_a_change_that_does_not_fit_any_more_is_refused() -> None:
    store = await filled({"db": 1})
    with pytest.raises(ConfigFormatError, match="orders/prod/main"):
        await put(store, ("db.new", 1))
    assert await stored(store) == {"db": 1}


async def test_a_writer_that_is_never_first_gives_up() -> None:
    others: list[dict[str, JsonValue]] = [{"a": number} for number in range(20)]
    store = await filled(*others)
    with pytest.raises(ConfigConflictError):
        await put(store, ("b", 1))
    assert store.commits == 10


async def test_a_store_without_conditional_saves_is_written(tmp_path: Path) -> None:
    class ThreeMethods:
        def __init__(self) -> None:
            self.source: ConfigSource | None = None

        async def fetch(
            self, application: str, profile: str, label: str = "main"
        ) -> ConfigSource | None:
            return self.source

        async def save(self, source: ConfigSource) -> None:
            self.source = source

        async def list(self) -> list[ConfigSource]:
            return [] if self.source is None else [self.source]

    store = ThreeMethods()
    assert await put(store, ("a.b", 1)) is None
    assert await put(store, ("c", 2)) is None
    assert await stored(store) == {"a.b": 1, "c": 2}


@pytest.mark.parametrize("make", [FilesystemConfigBackend, lambda _: InMemoryConfigBackend()])
async def test_of_many_writers_none_loses_a_property(
    make: Callable[[Path], ConfigBackend], tmp_path: Path
) -> None:
    store = make(tmp_path)
    await Bundles(store).commit(bundle({"start": 0}), expected=ABSENT)
    await asyncio.gather(*(put(store, (f"n{number}", number)) for number in range(8)))
    assert await stored(store) == {"start": 0} | {f"n{number}": number for number in range(8)}
