"""The suites for reading: names, labels, several bundles at once."""

from typing import ClassVar, Protocol

import pytest

from pyfly.config_core import ConfigConflictError, ConfigKey, InvalidConfigKeyError
from pyfly.config_server.storage import (
    ANY,
    PRESENT,
    ConfigBackend,
    SupportsBatchFetch,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsKeys,
    SupportsLabels,
    SupportsSnapshots,
    ability,
)
from pyfly.config_server.testing._isolation import IN_ORDER
from pyfly.config_server.testing._suite import (
    HOSTILE_NAMES,
    Conformance,
    bundle,
    stored,
)


class KeysBackend(ConfigBackend, SupportsKeys, Protocol):
    """A store that lists names."""


class LabelsBackend(ConfigBackend, SupportsLabels, Protocol):
    """A store that knows its labels."""


class BatchFetchBackend(ConfigBackend, SupportsBatchFetch, Protocol):
    """A store that reads several bundles at once."""


class SnapshotsBackend(ConfigBackend, SupportsSnapshots, SupportsConditionalSave, Protocol):
    """A store that has one version for several bundles."""


class KeysConformance(Conformance, ability=SupportsKeys):
    """Names without values."""

    async def test_an_empty_store_has_no_keys(self, backend: KeysBackend) -> None:
        """It yields nothing, with or without a label."""
        assert [entry async for entry in backend.keys()] == []
        assert [entry async for entry in backend.keys("main")] == []

    async def test_keys_are_complete_and_in_order(self, backend: KeysBackend) -> None:
        """Every name once, by label, application, profile."""
        in_order = [*map(self.relabelled, IN_ORDER)]
        for source in reversed(in_order):
            await backend.save(source)
        found = [entry.key async for entry in backend.keys()]
        assert found == [source.key for source in in_order]

    async def test_keys_of_one_label_are_those_of_that_label(self, backend: KeysBackend) -> None:
        """Similar labels, and labels below it, are left out."""
        in_order = [*map(self.relabelled, IN_ORDER)]
        for source in in_order:
            await backend.save(source)
        for label in map(self.label, ("feature", "feature/x", "main")):
            found = [entry.key async for entry in backend.keys(label)]
            assert found == [source.key for source in in_order if source.label == label]
        assert [entry async for entry in backend.keys("feat")] == []

    async def test_keys_go_on_after_a_name(self, backend: KeysBackend) -> None:
        """Names before it are left out; the name itself need not be stored."""
        everything = [self.relabelled(source).key for source in IN_ORDER]
        for source in IN_ORDER:
            await backend.save(self.relabelled(source))
        for position in (0, 19, 20, len(everything) - 1):
            key, rest = everything[position], everything[position + 1 :]
            found = [entry.key async for entry in backend.keys(after=key)]
            assert found == rest
            found = [entry.key async for entry in backend.keys(key.label, after=key)]
            assert found == [other for other in rest if other.label == key.label]
        absent = bundle("absent", "absent", "absent").key
        found = [entry.key async for entry in backend.keys(after=absent)]
        assert found == [key for key in everything if key.sort_key > absent.sort_key]

    async def test_keys_tell_the_version_that_a_fetch_tells(self, backend: KeysBackend) -> None:
        """An entry has the current version and no error."""
        for number in range(2):
            await backend.save(bundle(properties={"number": number}))
        (entry,) = [entry async for entry in backend.keys()]
        assert entry.version == (await stored(backend, bundle())).version
        assert entry.error is None


class LabelsConformance(Conformance, ability=SupportsLabels):
    """The existing labels."""

    labels_without_bundles: ClassVar[str | None] = None
    """The reason why a label exists on, unlisted, when its last bundle is removed; `None` if it
    goes."""

    async def test_an_empty_store_carries_no_labels(self, backend: LabelsBackend) -> None:
        """The list is empty, and no label exists."""
        assert await backend.labels() == []
        assert await backend.has_label("feature/x") is False

    async def test_labels_that_carry_bundles_are_listed_sorted(
        self, backend: LabelsBackend
    ) -> None:
        """Each once. `feature/x` does not imply a label `feature`."""
        for label in ("v1.0", "main", "feature/x", "feature-a", "feature0"):
            await backend.save(bundle("orders", label=label))
            await backend.save(bundle("billing", label=label))
        assert await backend.labels() == ["feature-a", "feature/x", "feature0", "main", "v1.0"]

    async def test_a_label_that_carries_a_bundle_exists(self, backend: LabelsBackend) -> None:
        """Neither its parent nor labels below it exist."""
        await backend.save(bundle(label="feature/x"))
        assert await backend.has_label("feature/x") is True
        for absent in ("feature/x/y", "featur", "feature/xy", "feature-x"):
            assert await backend.has_label(absent) is False

    async def test_a_refused_save_makes_no_label(self, backend: LabelsBackend) -> None:
        """A refused save leaves no label behind."""
        writer = ability(backend, SupportsConditionalSave)
        if writer is None:
            return
        for expected in ("some version", PRESENT):
            with pytest.raises(ConfigConflictError):
                await writer.commit(bundle(label="feature/x/y"), expected=expected)
        for label in ("feature/x/y", "feature/x", "feature"):
            assert await backend.has_label(label) is False
        assert await backend.labels() == []

    async def test_a_label_goes_with_its_last_bundle(self, backend: LabelsBackend) -> None:
        """Not earlier. Labels above, below and beside it do not change."""
        remover = ability(backend, SupportsDelete)
        if remover is None:
            return
        lower = self.label("feature/x/y")
        for label in (lower, "feature/x", "feature0"):
            await backend.save(bundle("orders", label=label))
        await backend.save(bundle("billing", label=lower))
        await remover.delete(
            ConfigKey(application="orders", profile="prod", label=lower), expected=ANY
        )
        assert await backend.has_label(lower) is True
        await remover.delete(
            ConfigKey(application="billing", profile="prod", label=lower), expected=ANY
        )
        stays = self.labels_without_bundles is not None
        assert await backend.has_label(lower) is stays
        assert await backend.labels() == ["feature/x", "feature0"]
        await remover.delete(
            ConfigKey(application="orders", profile="prod", label="feature/x"), expected=ANY
        )
        assert await backend.has_label("feature/x") is stays
        assert await backend.has_label("feature") is False
        assert await backend.labels() == ["feature0"]
        await backend.save(bundle("orders", label=lower))
        assert await backend.has_label(lower) is True

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    async def test_a_hostile_label_is_refused(self, backend: LabelsBackend, name: str) -> None:
        """It raises, as in a fetch, instead of returning false."""
        with pytest.raises(InvalidConfigKeyError):
            await backend.has_label(name)


class BatchFetchConformance(Conformance, ability=SupportsBatchFetch):
    """Several bundles in one round trip."""

    async def test_many_keys_give_what_single_fetches_give(
        self, backend: BatchFetchBackend
    ) -> None:
        """In the order of the keys, `None` for absent bundles, repeated for repeated keys."""
        in_order = [*map(self.relabelled, IN_ORDER)]
        for source in in_order[::2]:
            await backend.save(source)
        kept = {source.key for source in in_order[::2]}
        keys = [source.key for source in reversed(in_order)]
        keys += [keys[1], keys[1], keys[0]]
        found = await backend.fetch_many(keys)
        assert found == [await backend.fetch(k.application, k.profile, k.label) for k in keys]
        assert [source is not None for source in found] == [key in kept for key in keys]

    async def test_no_keys_give_nothing(self, backend: BatchFetchBackend) -> None:
        """An empty batch is an empty list."""
        assert await backend.fetch_many([]) == []

    async def test_copies_in_a_batch_are_not_aliased(self, backend: BatchFetchBackend) -> None:
        """Changing one tree of a batch changes neither another tree nor the store."""
        source = bundle(properties={"list": [1]})
        await backend.save(source)
        first, second = await backend.fetch_many([source.key, source.key])
        assert first is not None
        assert second is not None
        items = first.properties["list"]
        assert isinstance(items, list)
        items.append("spoilt")
        assert second.properties == {"list": [1]}
        assert (await stored(backend, source)).properties == {"list": [1]}


class SnapshotsConformance(Conformance, ability=SupportsSnapshots):
    """Several bundles at one moment, with one version."""

    versions_of_labels: ClassVar[str | None] = None
    """The reason why the version of a snapshot is that of its label, whatever bundles are asked
    for; `None` if absent bundles have no version."""
    equal_saves_make_no_version: ClassVar[str | None] = None
    """The reason why a save of what is stored changes no version; `None` if it does."""

    async def test_a_snapshot_holds_what_single_fetches_give(
        self, backend: SnapshotsBackend
    ) -> None:
        """In the order of the keys, `None` for absent bundles, repeated for repeated keys."""
        for source in IN_ORDER[:4]:
            await backend.save(source)
        keys = [source.key for source in (*IN_ORDER[6:1:-1], IN_ORDER[3])]
        found = await backend.fetch_snapshot(keys)
        single = [await backend.fetch(k.application, k.profile, k.label) for k in keys]
        assert [*found.sources] == single
        assert (await backend.fetch_snapshot([])).sources == ()

    async def test_what_was_never_stored_has_no_version(self, backend: SnapshotsBackend) -> None:
        """For no keys, and for keys of absent bundles."""
        await backend.save(bundle("billing"))
        assert (await backend.fetch_snapshot([])).version is None
        found = await backend.fetch_snapshot([bundle().key, bundle(profile="dev").key])
        version = None
        if self.versions_of_labels:
            version = (await backend.fetch_snapshot([bundle("billing").key])).version
            assert version
        assert (found.sources, found.version) == ((None, None), version)

    async def test_the_version_stays_while_nothing_changes(self, backend: SnapshotsBackend) -> None:
        """Reading is not a change, and the order of the keys does not matter."""
        await backend.save(bundle())
        await backend.save(bundle("billing"))
        keys = [bundle().key, bundle("billing").key]
        version = (await backend.fetch_snapshot(keys)).version
        assert version
        assert (await backend.fetch_snapshot(keys[::-1])).version == version

    async def test_every_change_of_a_part_gives_a_version_never_seen_before(
        self, backend: SnapshotsBackend
    ) -> None:
        """Including removals of the newest bundle, and saves of old content."""
        parts = [bundle("orders", "prod"), bundle("orders", "default"), bundle("application")]
        keys = [part.key for part in parts]
        seen: list[str | None] = []

        async def look() -> None:
            seen.append((await backend.fetch_snapshot(keys)).version)

        for part in parts:
            await backend.commit(part, expected=ANY)
            await look()
        for part in (parts[0], parts[2]):
            await backend.commit(part, expected=ANY)
            if self.equal_saves_make_no_version:
                assert (await backend.fetch_snapshot(keys)).version == seen[-1]
            else:
                await look()
        remover = ability(backend, SupportsDelete)
        if remover is not None:
            for part in (parts[2], parts[0], parts[1]):
                await remover.delete(part.key, expected=ANY)
                await look()
        await backend.commit(parts[0], expected=ANY)
        await look()
        assert None not in seen
        assert len(set(seen)) == len(seen)
