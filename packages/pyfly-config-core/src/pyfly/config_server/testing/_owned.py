"""The suites for base bundles, plain files and search locations."""

from datetime import timedelta
from typing import Protocol

import pytest

from pyfly.config_core import (
    BASE_PROFILE,
    DEFAULT_PROFILE,
    ConfigConflictError,
    InvalidConfigKeyError,
    JsonValue,
)
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    ConfigBackend,
    EverythingChange,
    LabelChange,
    RequestedNames,
    ResourceChange,
    SupportsChanges,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsResources,
    SupportsSearchLocations,
    ability,
)
from pyfly.config_server.testing._suite import (
    HOSTILE_NAMES,
    Conformance,
    assert_same,
    bundle,
    fetched,
    stored,
)

_CONTENT = bytes(range(256)) * 40


class ResourcesBackend(ConfigBackend, SupportsResources, Protocol):
    """A store with plain files."""


class SearchBackend(ConfigBackend, SupportsSearchLocations, Protocol):
    """A store with search locations."""


class BaseBundlesConformance(Conformance):
    """Bundles that count for every profile, for a store with the attribute `has_base_bundles`."""

    async def test_a_base_bundle_never_stored_is_none(self, backend: ConfigBackend) -> None:
        """Before the first save, and beside bundles with a profile."""
        assert await backend.fetch("orders", BASE_PROFILE) is None
        await backend.save(bundle(profile=DEFAULT_PROFILE))
        assert await backend.fetch("orders", BASE_PROFILE) is None

    async def test_a_base_bundle_comes_back_exactly(self, backend: ConfigBackend) -> None:
        """Under its own name, and in a listing."""
        properties: dict[str, JsonValue] = {"b": "1e3", "a": {"list": [1.0, None, "yes"]}}
        source = bundle(profile=BASE_PROFILE, label="feature/x", properties=properties)
        await backend.save(source)
        for found in (await fetched(backend, source), *await backend.list()):
            assert found is not None
            assert found.key == source.key
            assert_same(found.properties, properties)

    async def test_a_base_bundle_is_not_the_default_profile(self, backend: ConfigBackend) -> None:
        """The bundle of the profile `default` is different; neither replaces the other."""
        named = bundle(profile=DEFAULT_PROFILE, properties={"of": "profile"})
        base = bundle(profile=BASE_PROFILE, properties={"of": "base"})
        await backend.save(base)
        assert await fetched(backend, named) is None
        await backend.save(named)
        assert (await stored(backend, base)).properties == {"of": "base"}
        assert (await stored(backend, named)).properties == {"of": "profile"}

    async def test_a_base_bundle_is_not_aliased(self, backend: ConfigBackend) -> None:
        """Changing a fetched tree does not change what is stored."""
        source = bundle(profile=BASE_PROFILE, properties={"list": [1]})
        await backend.save(source)
        for _ in range(2):
            items = (await stored(backend, source)).properties["list"]
            assert items == [1]
            assert isinstance(items, list)
            items.append("spoilt")

    async def test_base_bundles_of_similar_names_are_independent(
        self, backend: ConfigBackend
    ) -> None:
        """Similar applications and labels are different."""
        await backend.save(bundle(profile=BASE_PROFILE, label="feature/x"))
        for application, label in (("order", "feature/x"), ("orders", "main")):
            assert await backend.fetch(application, BASE_PROFILE, label) is None

    async def test_a_base_bundle_is_written_and_removed_like_any_other(
        self, backend: ConfigBackend
    ) -> None:
        """Under conditions, if the store has them; other bundles do not change."""
        base, named = bundle(profile=BASE_PROFILE), bundle()
        await backend.save(named)
        writer = ability(backend, SupportsConditionalSave)
        if writer is None:
            return
        version = await writer.commit(base, expected=ABSENT)
        with pytest.raises(ConfigConflictError):
            await writer.commit(base, expected=ABSENT)
        assert (await stored(backend, base)).version == version
        remover = ability(backend, SupportsDelete)
        if remover is None:
            return
        await remover.delete(base.key, expected=ANY)
        assert await fetched(backend, base) is None
        assert await fetched(backend, named) is not None

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    async def test_a_hostile_name_is_no_base_bundle(
        self, backend: ConfigBackend, name: str
    ) -> None:
        """It raises, as in every fetch."""
        with pytest.raises(InvalidConfigKeyError):
            await backend.fetch(name, BASE_PROFILE, "main")
        with pytest.raises(InvalidConfigKeyError):
            await backend.fetch("orders", BASE_PROFILE, name)


class ResourcesConformance(Conformance, ability=SupportsResources):
    """Plain files. The test class overrides `store_resource`."""

    async def store_resource(
        self, backend: ResourcesBackend, label: str, path: str, content: bytes
    ) -> None:
        """Put a file into the store, replacing a file at that path.

        Args:
            backend: The store of the fixture.
            label: The label, which may not exist yet.
            path: The path below the label, its parts separated by slashes.
            content: The complete content.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must override store_resource to put a file into "
            f"{type(backend).__name__}"
        )

    async def test_a_resource_never_stored_is_none(self, backend: ResourcesBackend) -> None:
        """Before the first file, and beside a file and a bundle."""
        assert await backend.open_resource("main", "nginx.conf") is None
        await backend.save(bundle())
        await self.store_resource(backend, "main", "nginx.conf", b"")
        assert await backend.open_resource("main", "nginx.con") is None
        assert await backend.open_resource("main", "a/nginx.conf") is None

    @pytest.mark.parametrize("content", [_CONTENT, b"", b"\xef\xbb\xbfa\r\n"], ids=range(3))
    @pytest.mark.parametrize("path", ["nginx.conf", "certs/eu/ca.pem"])
    async def test_a_resource_comes_back_byte_by_byte(
        self, backend: ResourcesBackend, path: str, content: bytes
    ) -> None:
        """For all bytes. Its time, if known, is UTC."""
        await self.store_resource(backend, "feature/x", path, content)
        found = await backend.open_resource("feature/x", path)
        assert found is not None
        assert found.content == content
        assert found.modified is None or found.modified.utcoffset() == timedelta(0)

    async def test_resources_of_labels_are_separate(self, backend: ResourcesBackend) -> None:
        """The same path under another label is another file."""
        await self.store_resource(backend, "main", "a.txt", b"main")
        assert await backend.open_resource("feature/x", "a.txt") is None
        await self.store_resource(backend, "feature/x", "a.txt", b"x")
        found = [await backend.open_resource(label, "a.txt") for label in ("main", "feature/x")]
        assert [file and file.content for file in found] == [b"main", b"x"]

    async def test_resources_are_listed_by_path(self, backend: ResourcesBackend) -> None:
        """Of one label, with their sizes if the store knows them."""
        assert [one async for one in backend.resources("feature/x")] == []
        for path in ("b.txt", "a/z.txt", "a/y.conf"):
            await self.store_resource(backend, "feature/x", path, path.encode())
        await self.store_resource(backend, "main", "other.txt", b"")
        found = [one async for one in backend.resources("feature/x")]
        assert [one.path for one in found] == ["a/y.conf", "a/z.txt", "b.txt"]
        assert all(one.size in {None, len(one.path)} for one in found)
        assert all(one.modified is None or one.modified.utcoffset() is not None for one in found)

    async def test_a_stored_resource_is_a_change(self, backend: ResourcesBackend) -> None:
        """For stores that list changes: the file, its label or everything is named."""
        changes = ability(backend, SupportsChanges)
        if changes is None:
            return
        await self.store_resource(backend, "main", "nginx.conf", b"old")
        for content in (b"new", b"longer"):
            start = await changes.changes_since(None)
            await self.store_resource(backend, "main", "nginx.conf", content)
            batch = await changes.changes_since(start.cursor)
            assert batch.cursor != start.cursor
            assert {
                ResourceChange(label="main", path="nginx.conf"),
                LabelChange(label="main"),
                EverythingChange(),
            }.intersection(batch.changes)

    async def test_a_resource_is_no_bundle(self, backend: ResourcesBackend) -> None:
        """A listing shows bundles only."""
        await self.store_resource(backend, "main", "notes.txt", b"n: 1")
        assert await backend.list() == []

    @pytest.mark.parametrize("path", ["../a.txt", "b/../a.txt", "/a.txt", "..", "", "a.txt\0"])
    async def test_a_hostile_path_opens_nothing(self, backend: ResourcesBackend, path: str) -> None:
        """A path out of the label is absent or refused, never followed or normalised."""
        await self.store_resource(backend, "main", "a.txt", b"secret")
        await self.store_resource(backend, "main", "b/c.txt", b"c")
        for label in ("main", "main/b"):
            try:
                found = await backend.open_resource(label, path)
            except InvalidConfigKeyError:
                continue
            assert found is None


class SearchLocationsConformance(Conformance, ability=SupportsSearchLocations):
    """Reading for a request. The suite does not know the directories of the store."""

    async def test_a_request_for_one_bundle_finds_what_a_fetch_finds(
        self, backend: SearchBackend
    ) -> None:
        """Present or absent, in the order of the keys."""
        await backend.save(bundle())
        await backend.save(bundle("billing"))
        for source in (bundle(), bundle("billing"), bundle("absent")):
            names = RequestedNames.of_key(source.key)
            found = await backend.fetch_requested([source.key], names)
            assert found.sources == (await fetched(backend, source),)
        both = [bundle().key, bundle("orders", "absent").key]
        found = await backend.fetch_requested(both, RequestedNames.of_key(bundle().key))
        assert [one is not None for one in found.sources] == [True, False]

    async def test_a_file_that_is_not_there_is_none(self, backend: SearchBackend) -> None:
        """In either order of the directories, and under an unknown label."""
        names = RequestedNames.of_key(bundle().key)
        for label in ("main", "feature/x"):
            for last_first in (False, True):
                found = await backend.find_resource(
                    label, ["absent-prod.txt", "absent.txt"], names, last_first=last_first
                )
                assert found is None

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    async def test_a_hostile_name_is_refused(self, backend: SearchBackend, name: str) -> None:
        """No name of a request becomes a path before it was checked."""
        await backend.save(bundle())
        with pytest.raises(InvalidConfigKeyError):
            await backend.fetch_requested(
                [bundle().key], RequestedNames(applications=(name,), profiles=("prod",))
            )
        with pytest.raises(InvalidConfigKeyError):
            await backend.find_resource(
                "main", ["a.txt"], RequestedNames(applications=("orders",), profiles=(name,))
            )
