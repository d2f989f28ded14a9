"""The suite for the required methods: fetch, save, list."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping

import pytest

from pyfly.config_core import DEFAULT_LABEL, ConfigError, InvalidConfigKeyError, JsonValue
from pyfly.config_server.storage import ConfigBackend, ConfigSource, has_base_bundles
from pyfly.config_server.testing._isolation import IsolationConformance
from pyfly.config_server.testing._owned import BaseBundlesConformance
from pyfly.config_server.testing._shape import abilities, methods_of
from pyfly.config_server.testing._suite import (
    HOSTILE_NAMES,
    MIXINS,
    Conformance,
    assert_same,
    bundle,
    exercised,
    fetched,
    stored,
)
from pyfly.config_server.testing._values import KEYS, LARGE, VALUES

_SECRET = "hunter2-of-the-suite"  # noqa: S105 - a value to look for, no credential
_HANGS_SECONDS = 120
"""The time after which a call counts as stuck."""
_WIDTH = 200
"""Properties of one tree in the tests of atomicity, too many for one small write."""


class BackendConformance(IsolationConformance):
    """The three required methods, and a mixin for every ability.

    Every test class must have the fixture `backend`, which returns a new, empty store.
    """

    async def test_every_ability_is_exercised(self, backend: ConfigBackend) -> None:
        """The test class has a mixin for each ability of the store, and no other mixin."""
        faults = [*_mixin_faults(self, abilities(backend)), *_base_bundle_faults(self, backend)]
        assert not faults, "\n".join(faults)

    @pytest.mark.parametrize("turn", ["first", "second"])
    async def test_every_test_begins_with_an_empty_store(
        self, backend: ConfigBackend, turn: str
    ) -> None:
        """Bundles of one test do not appear in the next."""
        source = bundle(properties={"turn": turn})
        assert await backend.list() == []
        assert await fetched(backend, source) is None
        await backend.save(source)

    async def test_a_source_never_stored_is_none(self, backend: ConfigBackend) -> None:
        """Beside other bundles, and under labels that do not exist."""
        await backend.save(bundle())
        for absent in (bundle("billing"), bundle(profile="dev"), bundle(label="nowhere/x")):
            assert await fetched(backend, absent) is None

    async def test_the_label_defaults_to_main(self, backend: ConfigBackend) -> None:
        """`fetch` without a label reads the default label."""
        await backend.save(bundle(label=DEFAULT_LABEL))
        found = await backend.fetch("orders", "prod")
        assert found is not None
        assert found.label == DEFAULT_LABEL

    @pytest.mark.parametrize("value", [*VALUES, *LARGE])
    async def test_a_value_comes_back_exactly(
        self, backend: ConfigBackend, value: JsonValue
    ) -> None:
        """Type and content survive at the top level, in a mapping and in a list."""
        await _round_trip(backend, {"top": value, "map": {"in": value}, "list": [value, value]})

    @pytest.mark.parametrize("key", KEYS)
    async def test_a_property_key_comes_back_exactly(
        self, backend: ConfigBackend, key: str
    ) -> None:
        """The store does not interpret keys, at any level."""
        await _round_trip(backend, {key: "top", "map": {key: {key: 1}}, "list": [{key: None}]})

    async def test_no_properties_at_all_are_a_bundle_too(self, backend: ConfigBackend) -> None:
        """An empty bundle is not an absent bundle."""
        await _round_trip(backend, {})

    async def test_the_order_of_keys_is_kept(self, backend: ConfigBackend) -> None:
        """The caller's order, at every level."""
        names = ["zeta", "alpha", "10", "9", "Mid", "beta.b", "beta.a"]
        await _round_trip(backend, {**dict.fromkeys(names, 1), "in": dict.fromkeys(names, 2)})

    async def test_a_save_replaces_the_whole_bundle(self, backend: ConfigBackend) -> None:
        """No old property is left, at any level."""
        await backend.save(bundle(properties={"old": 1, "both": {"old": 1, "kept": [1, 2]}}))
        await _round_trip(backend, {"both": {"kept": [3]}, "new": True})
        assert len(await backend.list()) == 1

    async def test_facts_of_another_store_are_not_stored(self, backend: ConfigBackend) -> None:
        """`version` and `resource` of a saved source do not come back."""
        await backend.save(
            ConfigSource(
                application="orders",
                profile="prod",
                properties={"a": 1},
                version="made elsewhere",
                resource="made-elsewhere.txt",
            )
        )
        found = await stored(backend, bundle())
        assert found.version != "made elsewhere"
        assert found.resource != "made-elsewhere.txt"

    async def test_a_saved_source_is_not_aliased(self, backend: ConfigBackend) -> None:
        """Changing the caller's tree after the save does not change the stored tree."""
        source = bundle(properties={"map": {"list": [1]}})
        await backend.save(source)
        _spoil(source)
        assert (await stored(backend, source)).properties == {"map": {"list": [1]}}

    async def test_a_fetched_source_is_not_aliased(self, backend: ConfigBackend) -> None:
        """Changing a fetched or listed tree does not change the stored tree."""
        source = bundle(properties={"map": {"list": [1]}})
        await backend.save(source)
        _spoil(await stored(backend, source))
        _spoil(*await backend.list())
        assert (await stored(backend, source)).properties == {"map": {"list": [1]}}

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    async def test_a_hostile_name_is_refused(self, backend: ConfigBackend, name: str) -> None:
        """Invalid names raise, in every part of the key."""
        with pytest.raises(InvalidConfigKeyError):
            await backend.fetch(name, "prod", "main")
        with pytest.raises(InvalidConfigKeyError):
            await backend.fetch("orders", name, "main")
        with pytest.raises(InvalidConfigKeyError):
            await backend.fetch("orders", "prod", name)

    async def test_a_reader_never_sees_a_mixture(self, backend: ConfigBackend) -> None:
        """While a bundle is saved repeatedly, a fetch returns one complete save."""
        await backend.save(_uniform(0))
        saves = [backend.save(_uniform(number)) for number in range(1, 17)]
        fetches = [stored(backend, _uniform(0)) for _ in range(48)]
        found, _ = await asyncio.gather(asyncio.gather(*fetches), asyncio.gather(*saves))
        assert [len(set(source.properties.values())) for source in found] == [1] * 48
        assert {len(source.properties) for source in found} == {_WIDTH}

    async def test_of_concurrent_saves_one_remains_whole(self, backend: ConfigBackend) -> None:
        """Concurrent writers leave the complete tree of one of them."""
        await asyncio.gather(*(backend.save(_uniform(number)) for number in range(8)))
        found = await stored(backend, _uniform(0))
        assert len(set(found.properties.values())) == 1
        assert len(found.properties) == _WIDTH
        assert len(await backend.list()) == 1

    @pytest.mark.parametrize("steps", range(8))
    async def test_a_cancelled_save_leaves_old_or_new(
        self, backend: ConfigBackend, steps: int
    ) -> None:
        """A cancelled save leaves one of the two complete trees, at every point of cancellation."""
        await backend.save(_uniform(1))
        save = asyncio.ensure_future(backend.save(_uniform(2)))
        for _ in range(steps):
            await asyncio.sleep(0)  # one turn of the loop for the progress of the save
        save.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await save
        found = await stored(backend, _uniform(1))
        assert found.properties in (_uniform(1).properties, _uniform(2).properties)
        await backend.save(bundle("billing"))
        assert await fetched(backend, bundle("billing")) is not None

    async def test_another_event_loop_is_served_or_refused_at_once(
        self, backend: ConfigBackend
    ) -> None:
        """In two threads at the same time, no call hangs and no save is lost."""

        async def save_and_fetch(name: str) -> int:
            for number in range(4):
                source = bundle(name, properties={"number": number})
                await backend.save(source)
                assert (await stored(backend, source)).properties == source.properties
            return 4

        def elsewhere(name: str) -> int:
            try:
                return asyncio.run(asyncio.wait_for(save_and_fetch(name), _HANGS_SECONDS))
            except ConfigError:
                return 0  # refused with an error

        here = asyncio.ensure_future(save_and_fetch("here"))
        others = await asyncio.gather(
            *(asyncio.to_thread(elsewhere, name) for name in ("there", "there2"))
        )
        assert await here == 4
        found = [source.application for source in await backend.list()]
        assert "here" in found
        assert len(found) >= 1 + sum(map(bool, others))
        for name in ("later", "later2"):  # in one event loop after the other
            await asyncio.to_thread(elsewhere, name)

    async def test_repr_shows_no_value(self, backend: ConfigBackend) -> None:
        """Neither the store nor its results show a value in their `repr`."""
        await backend.save(bundle(properties={"password": _SECRET}))
        assert _SECRET not in repr(backend)
        assert _SECRET not in repr(await stored(backend, bundle()))


def _mixin_faults(suite: Conformance, satisfied: set[type]) -> Iterator[str]:
    name = type(suite).__name__
    for kind, mixin in sorted(MIXINS.items(), key=lambda item: item[0].__name__):
        if kind in satisfied - exercised(suite):
            yield f"{kind.__name__}: add {mixin.__name__} to the bases of {name}"
        elif kind in exercised(suite) - satisfied:
            methods = ", ".join(f"`{method}`" for method in methods_of(kind))
            yield (
                f"{kind.__name__}: the store lacks {methods}, or `ability` returns None; add the "
                f"methods, or remove {mixin.__name__} from the bases of {name}"
            )


def _base_bundle_faults(suite: Conformance, backend: ConfigBackend) -> Iterator[str]:
    name = type(suite).__name__
    is_tested = isinstance(suite, BaseBundlesConformance)
    if has_base_bundles(backend) and not is_tested:
        yield f"has_base_bundles: add BaseBundlesConformance to the bases of {name}"
    elif is_tested and not has_base_bundles(backend):
        yield (
            "has_base_bundles: set it to True in the store, or remove BaseBundlesConformance "
            f"from the bases of {name}"
        )


async def _round_trip(backend: ConfigBackend, properties: Mapping[str, JsonValue]) -> None:
    source = bundle(properties=properties)
    await backend.save(source)
    assert_same((await stored(backend, source)).properties, properties)
    (listed,) = await backend.list()
    assert_same(listed.properties, properties)


def _uniform(number: int) -> ConfigSource:
    return bundle(properties={f"key{n}": number for n in range(_WIDTH)})


def _spoil(*sources: ConfigSource) -> None:
    for source in sources:
        tree = source.properties
        assert isinstance(tree, dict)
        inner = tree["map"]
        assert isinstance(inner, dict)
        items = inner["list"]
        assert isinstance(items, list)
        items.append("spoilt")
        inner["spoilt"] = True
        tree["spoilt"] = True
