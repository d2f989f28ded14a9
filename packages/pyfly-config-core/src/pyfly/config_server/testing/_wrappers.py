"""The suite for wrappers: stores around another store."""

import contextlib
from typing import ClassVar, TypeVar

import pytest

from pyfly.config_core import (
    BASE_PROFILE,
    BackendUnavailableError,
    ConfigConflictError,
    ConfigKey,
    UnsupportedOperationError,
)
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    BundleChange,
    ConfigBackend,
    ConfigSource,
    EverythingChange,
    LabelChange,
    RequestedNames,
    SupportsBatchFetch,
    SupportsChangeHints,
    SupportsChanges,
    SupportsClose,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsHistory,
    SupportsKeys,
    SupportsLabels,
    SupportsRefetch,
    SupportsResources,
    SupportsSearchLocations,
    SupportsSnapshots,
    ability,
    default_is_base,
    has_base_bundles,
)
from pyfly.config_server.testing._hints import told
from pyfly.config_server.testing._shape import ABILITIES, abilities, methods_of
from pyfly.config_server.testing._suite import Conformance, bundle, fetched, stored
from pyfly.config_server.testing._wrapped import CompleteBackend

_Ability = TypeVar("_Ability")

_SECRET = "hunter2-of-the-suite"  # noqa: S105 - a value to look for, no credential
_SOURCES = (
    bundle("billing"),
    bundle("orders", "default"),
    bundle("orders", "prod"),
    bundle("orders", "prod", "feature/x"),
)
_ABSENT = bundle("orders", "absent")
_lacking = pytest.mark.parametrize(
    "wrapped",
    [pytest.param({kind}, id=kind.__name__) for kind in ABILITIES],
    indirect=True,
)


class WrapperConformance(Conformance):
    """A wrapper is consistent across its abilities, and claims no more than the store below it.

    Every test class must have the fixture `backend`, which returns the wrapper around the fixture
    `wrapped`. `wrapped` is an empty store in memory with every ability and may be overridden.

    ```python
    class TestReadOnly(WrapperConformance):
        @pytest.fixture
        def backend(self, wrapped: ConfigBackend) -> ReadOnlyBackend:
            return ReadOnlyBackend(wrapped)
    ```

    The mixins cannot test a wrapper, because its abilities may be in other objects.
    """

    own_abilities: ClassVar[frozenset[type]] = frozenset()
    """The Protocols of abilities that the wrapper has even if the store below lacks them."""

    @pytest.fixture
    def wrapped(self, request: pytest.FixtureRequest) -> ConfigBackend:
        """Return an empty store with every ability, or without the abilities that a test names."""
        return CompleteBackend(lacking=frozenset(getattr(request, "param", ())))

    async def put(
        self, backend: ConfigBackend, wrapped: ConfigBackend, source: ConfigSource
    ) -> None:
        """Store a bundle so that the wrapper returns it under the key of `source`.

        If the wrapper refuses to save, the bundle is saved in the store below. A test class
        overrides this if the wrapper also changes the names of bundles.
        """
        try:
            await backend.save(source)
        except UnsupportedOperationError:
            await wrapped.save(source)

    @pytest.fixture
    async def filled(self, backend: ConfigBackend, wrapped: ConfigBackend) -> ConfigBackend:
        """Return the wrapper with bundles. The store below has further bundles."""
        await wrapped.save(bundle("below", "prod", "other"))
        for source in reversed(_SOURCES):
            await self.put(backend, wrapped, bundle_again(source))
            await self.put(backend, wrapped, source)
        if has_base_bundles(backend):
            await self.put(backend, wrapped, bundle("orders", BASE_PROFILE))
        return backend

    @_lacking
    async def test_an_ability_that_the_store_below_lacks_is_not_claimed(
        self, backend: ConfigBackend, wrapped: ConfigBackend
    ) -> None:
        """`ability` of the wrapper asks `ability` of the store below."""
        assert abilities(backend) <= abilities(wrapped) | self.own_abilities

    async def test_a_method_of_an_ability_does_not_stand_alone(
        self, backend: ConfigBackend
    ) -> None:
        """If a wrapper defines only some methods of an ability, they are never called."""
        for kind in ABILITIES:
            defined = [name for name in methods_of(kind) if hasattr(type(backend), name)]
            missing = sorted(set(methods_of(kind)) - {*defined})
            assert not defined or not missing, (
                f"{type(backend).__name__} defines {defined} but not {missing} of {kind.__name__}; "
                "define them, too: without them only the store below is called"
            )

    async def test_the_wrapper_has_the_base_bundles_of_the_store_below(
        self, backend: ConfigBackend, wrapped: ConfigBackend
    ) -> None:
        """`default_is_base` and `has_base_bundles` are passed on."""
        assert default_is_base(backend) == default_is_base(wrapped)
        assert has_base_bundles(backend) == has_base_bundles(wrapped)

    async def test_a_listing_holds_what_fetches_return(self, filled: ConfigBackend) -> None:
        """Every bundle that was stored, and no bundle that cannot be fetched."""
        listed = await filled.list()
        assert listed == [await fetched(filled, source) for source in listed]
        assert {source.key for source in _SOURCES} <= {source.key for source in listed}
        assert [s.key for s in listed] == sorted((s.key for s in listed), key=_place)
        assert await fetched(filled, _ABSENT) is None

    async def test_keys_are_those_of_a_listing(self, filled: ConfigBackend) -> None:
        """With their versions: of all labels, of one label, and after a name."""
        keys = _asked(filled, SupportsKeys)
        rows = [(source.key, source.version) for source in await filled.list()]
        assert [(e.key, e.version) async for e in keys.keys()] == rows
        for label in ("main", "feature/x", "absent"):
            found = [(e.key, e.version) async for e in keys.keys(label)]
            assert found == [row for row in rows if row[0].label == label]
        for place, (key, _) in enumerate(rows):
            assert [e.key async for e in keys.keys(after=key)] == [
                row[0] for row in rows[place + 1 :]
            ]

    async def test_labels_are_those_of_a_listing(self, filled: ConfigBackend) -> None:
        """Sorted, and each exists."""
        labels = _asked(filled, SupportsLabels)
        carried = sorted({source.label for source in await filled.list()})
        assert await labels.labels() == carried
        assert [await labels.has_label(label) for label in carried] == [True] * len(carried)
        assert await labels.has_label("absent/x") is False

    async def test_a_batch_holds_what_fetches_return(self, filled: ConfigBackend) -> None:
        """In the order of the keys, `None` for absent bundles."""
        keys = await _all_keys(filled)
        batch = _asked(filled, SupportsBatchFetch)
        assert await batch.fetch_many(keys) == await _single(filled, keys)

    async def test_a_snapshot_holds_what_fetches_return(self, filled: ConfigBackend) -> None:
        """In the order of the keys; without a version for bundles never stored."""
        keys = await _all_keys(filled)
        snapshots = _asked(filled, SupportsSnapshots)
        found = await snapshots.fetch_snapshot(keys)
        assert [*found.sources] == await _single(filled, keys)
        assert found.version is not None
        assert (await snapshots.fetch_snapshot([_ABSENT.key])).version is None

    async def test_the_newest_version_is_what_a_fetch_returns(self, filled: ConfigBackend) -> None:
        """The history belongs to the bundle that the wrapper shows under a name."""
        history = _asked(filled, SupportsHistory)
        for source in await filled.list():
            rows = await history.history(source.key)
            assert rows[0].version == source.version
            assert await history.fetch_version(source.key, rows[0].version) == source
            for row in rows[1:]:
                old = await history.fetch_version(source.key, row.version)
                assert old is not None
                assert (old.key, old.version) == (source.key, row.version)
        for source in _SOURCES:
            assert len(await history.history(source.key)) > 1
        assert await history.history(_ABSENT.key) == []

    async def test_a_request_finds_what_single_fetches_find(self, filled: ConfigBackend) -> None:
        """Bundles through the search locations of a request, present and absent ones."""
        search = _asked(filled, SupportsSearchLocations)
        for key in await _all_keys(filled):
            names = RequestedNames.of_key(key)
            found = await search.fetch_requested([key], names)
            assert [*found.sources] == await _single(filled, [key])

    async def test_every_listed_resource_can_be_opened(
        self, filled: ConfigBackend, wrapped: CompleteBackend
    ) -> None:
        """With the size in the listing."""
        resources = _asked(filled, SupportsResources)
        for label in ("main", "feature/x"):
            for path in ("b/z.txt", "a.txt"):
                wrapped.put_resource(label, path, path.encode())
        for label in {source.label for source in await filled.list()}:
            async for entry in resources.resources(label):
                found = await resources.open_resource(label, entry.path)
                assert found is not None
                assert entry.size in {None, len(found.content)}
        assert await resources.open_resource("main", "absent.txt") is None

    async def test_a_save_is_returned_by_the_next_fetch(
        self, backend: ConfigBackend, wrapped: ConfigBackend
    ) -> None:
        """Under its name, and replaced by the next save. A refused save changes nothing below."""
        before = await wrapped.list()
        with contextlib.suppress(UnsupportedOperationError):
            for number in (1, 2):
                await backend.save(bundle(properties={"n": number}))
                assert (await stored(backend, bundle())).properties == {"n": number}
            return
        assert await wrapped.list() == before

    async def test_a_commit_is_returned_by_the_next_fetch(self, filled: ConfigBackend) -> None:
        """With the returned version. Conditions compare with the version of a fetch."""
        writer = _asked(filled, SupportsConditionalSave)
        current = (await stored(filled, bundle())).version
        with pytest.raises(ConfigConflictError) as conflict:
            await writer.commit(bundle(), expected=ABSENT)
        assert conflict.value.current == current
        source = bundle(properties={"n": 1})
        version = await writer.commit(source, expected=str(current), author="ada", message="why")
        found = await stored(filled, source)
        assert (found.version, found.properties) == (version, {"n": 1})
        history = ability(filled, SupportsHistory)
        if history is not None:
            (row,) = await history.history(source.key, limit=1)
            assert (row.author, row.message) == ("ada", "why")

    async def test_a_removed_bundle_is_fetched_no_more(self, filled: ConfigBackend) -> None:
        """It is not listed, either; the others stay."""
        remover = _asked(filled, SupportsDelete)
        others = [source for source in await filled.list() if source.key != bundle().key]
        await remover.delete(bundle().key, expected=ANY, author="ada", message="why")
        assert await fetched(filled, bundle()) is None
        assert await filled.list() == others
        history = ability(filled, SupportsHistory)
        if history is not None:
            (row,) = await history.history(bundle().key, limit=1)
            assert (row.deleted, row.author, row.message) == (True, "ada", "why")

    async def test_a_change_has_the_name_that_a_fetch_needs(
        self, filled: ConfigBackend, wrapped: ConfigBackend
    ) -> None:
        """A reader that fetches the named bundles has the new content."""
        changes = _asked(filled, SupportsChanges)
        start = await changes.changes_since(None)
        for source in _SOURCES:
            await self.put(filled, wrapped, bundle_again(source))
            batch = await changes.changes_since(start.cursor)
            assert {
                BundleChange(key=source.key),
                LabelChange(label=source.label),
                EverythingChange(),
            }.intersection(batch.changes), f"{source.key} is not named by {batch.changes}"
            start = batch
        assert (await changes.changes_since(start.cursor)).changes == ()
        unknown = await changes.changes_since("no cursor")
        assert EverythingChange() in unknown.changes

    async def test_a_reader_of_hints_is_told(
        self, filled: ConfigBackend, wrapped: ConfigBackend
    ) -> None:
        """After a save through the wrapper or in the store below."""
        hints = _asked(filled, SupportsChangeHints)

        async def save(source: ConfigSource) -> None:
            await self.put(filled, wrapped, source)

        await told(hints, save, readers=1)

    async def test_a_copy_is_asked_for_in_the_store_below(
        self, backend: ConfigBackend, wrapped: CompleteBackend
    ) -> None:
        """Once for each call."""
        refetching = _asked(backend, SupportsRefetch)
        await refetching.refetch()
        assert wrapped.refetches == 1

    async def test_closing_closes_the_store_below(
        self, backend: ConfigBackend, wrapped: ConfigBackend
    ) -> None:
        """Afterwards both refuse."""
        closing = _asked(backend, SupportsClose)
        await closing.aclose()
        await closing.aclose()
        for store in (backend, wrapped):
            with pytest.raises(BackendUnavailableError):
                await fetched(store, bundle())
            with pytest.raises(BackendUnavailableError):
                await store.list()

    async def test_repr_shows_no_value(
        self, backend: ConfigBackend, wrapped: ConfigBackend
    ) -> None:
        """Neither the wrapper nor its results show a value in their `repr`."""
        source = bundle(properties={"password": _SECRET})
        await self.put(backend, wrapped, source)
        assert _SECRET not in repr(backend)
        assert _SECRET not in repr(await stored(backend, source))


def bundle_again(source: ConfigSource) -> ConfigSource:
    """Return a source with other properties under the same key."""
    return bundle(*_names(source.key), properties={"again": f"{source.key}", "list": [1]})


def _names(key: ConfigKey) -> tuple[str, str, str]:
    return key.application, key.profile, key.label


def _place(key: ConfigKey) -> tuple[str, ...]:
    return key.sort_key


def _asked(backend: ConfigBackend, kind: type[_Ability]) -> _Ability:
    found = ability(backend, kind)
    if found is None:
        pytest.skip(f"{type(backend).__name__} does not pass on {kind.__name__}")
    return found


async def _all_keys(backend: ConfigBackend) -> list[ConfigKey]:
    """Return all listed keys, and keys of absent bundles."""
    listed = [source.key for source in await backend.list()]
    raw = bundle("below", "prod", "other").key
    return [*reversed(listed), _ABSENT.key, raw, listed[0], _ABSENT.key]


async def _single(backend: ConfigBackend, keys: list[ConfigKey]) -> list[ConfigSource | None]:
    return [await backend.fetch(*_names(key)) for key in keys]
