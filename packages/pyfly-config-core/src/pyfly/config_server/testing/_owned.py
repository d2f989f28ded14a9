"""The suites for what only the owner of a store puts in place: base bundles and plain files."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

import pytest

from pyfly.config_core import DEFAULT_PROFILE, InvalidConfigKeyError, JsonValue
from pyfly.config_server.storage import ConfigBackend, SupportsBaseBundles, SupportsResources
from pyfly.config_server.testing._suite import (
    HOSTILE_NAMES,
    Conformance,
    assert_same,
    bundle,
    fetched,
)

_CONTENT = bytes(range(256)) * 40


class BaseBundlesBackend(ConfigBackend, SupportsBaseBundles, Protocol):
    """A store with bundles that have no profile."""


class ResourcesBackend(ConfigBackend, SupportsResources, Protocol):
    """A store with plain files."""


class BaseBundlesConformance(Conformance, ability=SupportsBaseBundles):
    """Bundles without a profile. The test class overrides `store_base`."""

    async def store_base(
        self,
        backend: BaseBundlesBackend,
        application: str,
        label: str,
        properties: Mapping[str, JsonValue],
    ) -> None:
        """Put a bundle without a profile into the store, replacing one of that name.

        Args:
            backend: The store of the fixture.
            application: The application, a name that the store can keep.
            label: The label, possibly one that does not exist yet.
            properties: The whole content.
        """
        raise NotImplementedError(
            f"{type(self).__name__} overrides store_base to put a base bundle into "
            f"{type(backend).__name__}"
        )

    async def test_a_base_bundle_never_stored_is_none(self, backend: BaseBundlesBackend) -> None:
        """Absent at first, and beside bundles that have a profile."""
        assert await backend.fetch_base("orders", "main") is None
        await backend.save(bundle(profile=DEFAULT_PROFILE))
        assert await backend.fetch_base("orders", "main") is None

    async def test_a_base_bundle_comes_back_exactly(self, backend: BaseBundlesBackend) -> None:
        """Under its own name; the profile reads `default`."""
        properties: dict[str, JsonValue] = {"b": "1e3", "a": {"list": [1.0, None, "yes"]}}
        await self.store_base(backend, "orders-api", "feature/x", properties)
        found = await backend.fetch_base("orders-api", "feature/x")
        assert found is not None
        assert found.key == bundle("orders-api", DEFAULT_PROFILE, "feature/x").key
        assert_same(found.properties, properties)

    async def test_a_base_bundle_is_not_the_default_profile(
        self, backend: BaseBundlesBackend
    ) -> None:
        """The bundle of the profile `default` is another one; neither replaces the other."""
        named = bundle(profile=DEFAULT_PROFILE, properties={"of": "profile"})
        await self.store_base(backend, "orders", "main", {"of": "base"})
        assert await fetched(backend, named) is None
        await backend.save(named)
        base = await backend.fetch_base("orders", "main")
        found = await fetched(backend, named)
        assert base is not None
        assert base.properties == {"of": "base"}
        assert found is not None
        assert found.properties == {"of": "profile"}

    async def test_base_bundles_of_similar_names_are_independent(
        self, backend: BaseBundlesBackend
    ) -> None:
        """Applications and labels that begin alike are others."""
        await self.store_base(backend, "orders", "feature/x", {"n": 1})
        for application, label in (("order", "feature/x"), ("orders", "main")):
            assert await backend.fetch_base(application, label) is None

    async def test_a_base_bundle_is_not_aliased(self, backend: BaseBundlesBackend) -> None:
        """Changing a fetched tree does not change what is stored."""
        await self.store_base(backend, "orders", "main", {"list": [1]})
        for _ in range(2):
            found = await backend.fetch_base("orders", "main")
            assert found is not None
            items = found.properties["list"]
            assert items == [1]
            assert isinstance(items, list)
            items.append("spoilt")

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    async def test_a_hostile_name_is_no_base_bundle(
        self, backend: BaseBundlesBackend, name: str
    ) -> None:
        """It raises, as in a fetch."""
        with pytest.raises(InvalidConfigKeyError):
            await backend.fetch_base(name, "main")
        with pytest.raises(InvalidConfigKeyError):
            await backend.fetch_base("orders", name)


class ResourcesConformance(Conformance, ability=SupportsResources):
    """Plain files. The test class overrides `store_resource`."""

    async def store_resource(
        self, backend: ResourcesBackend, label: str, path: str, content: bytes
    ) -> None:
        """Put a file into the store, replacing one of that path.

        Args:
            backend: The store of the fixture.
            label: The label, possibly one that does not exist yet.
            path: The path below the label, its parts separated by slashes.
            content: The whole content.
        """
        raise NotImplementedError(
            f"{type(self).__name__} overrides store_resource to put a file into "
            f"{type(backend).__name__}"
        )

    async def test_a_resource_never_stored_is_none(self, backend: ResourcesBackend) -> None:
        """Absent at first, and beside a file and a bundle."""
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
        """Whatever the bytes are; its time, where known, is UTC."""
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

    async def test_a_resource_is_no_bundle(self, backend: ResourcesBackend) -> None:
        """A listing shows bundles only."""
        await self.store_resource(backend, "main", "notes.txt", b"n: 1")
        assert await backend.list() == []

    @pytest.mark.parametrize("path", ["../a.txt", "b/../a.txt", "/a.txt", "..", "", "a.txt\0"])
    async def test_a_hostile_path_opens_nothing(self, backend: ResourcesBackend, path: str) -> None:
        """A path that leaves its place is absent or refused, never followed or normalised."""
        await self.store_resource(backend, "main", "a.txt", b"secret")
        await self.store_resource(backend, "main", "b/c.txt", b"c")
        for label in ("main", "main/b"):
            try:
                found = await backend.open_resource(label, path)
            except InvalidConfigKeyError:
                continue
            assert found is None
