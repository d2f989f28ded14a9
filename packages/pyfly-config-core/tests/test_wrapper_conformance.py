"""Right wrappers pass the suite for wrappers; `test_conformance_suite` has the wrong ones."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from pyfly.config_core import DEFAULT_LABEL, ConfigKey, UnsupportedOperationError
from pyfly.config_server import ConfigBackend, ConfigSource, InMemoryConfigBackend
from pyfly.config_server.storage import (
    BundleChange,
    Change,
    ChangeBatch,
    ConfigEntry,
    ConfigResource,
    ConfigSnapshot,
    ConfigVersion,
    Expected,
    RequestedNames,
    SupportsBatchFetch,
    SupportsChanges,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsHistory,
    SupportsKeys,
    SupportsLabels,
    SupportsSearchLocations,
    SupportsSnapshots,
    SupportsUpgrade,
    WrapperBackend,
    ability,
)
from pyfly.config_server.testing import WrapperConformance

A = TypeVar("A")


class CountingBackend(WrapperBackend):
    """Counts what is read."""

    def __init__(self, backend: ConfigBackend) -> None:
        super().__init__(backend)
        self.count = 0

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        self.count += 1
        return await super().fetch(application, profile, label)

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> list[ConfigSource | None]:
        self.count += len(keys)
        return await self.inner(SupportsBatchFetch).fetch_many(keys)


class ReadOnlyBackend(WrapperBackend):
    """Refuses every write."""

    def ability(self, kind: type[A]) -> A | None:
        writing: set[type] = {SupportsConditionalSave, SupportsDelete, SupportsUpgrade}
        return None if kind in writing else super().ability(kind)

    async def save(self, source: ConfigSource) -> None:
        raise UnsupportedOperationError("a read-only store", "saving")


class PrefixBackend(WrapperBackend):
    """Shows the applications of one team, without the name of the team."""

    prefix = "team."

    def there(self, key: ConfigKey) -> ConfigKey:
        return replace(key, application=self.prefix + key.application)

    def here(self, key: ConfigKey) -> ConfigKey | None:
        if not key.application.startswith(self.prefix):
            return None
        return replace(key, application=key.application.removeprefix(self.prefix))

    def source_there(self, source: ConfigSource) -> ConfigSource:
        return replace(source, application=self.prefix + source.application)

    def source_here(self, source: ConfigSource | None) -> ConfigSource | None:
        key = None if source is None else self.here(source.key)
        if source is None or key is None:
            return None
        return replace(source, application=key.application)

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        key = self.there(ConfigKey(application=application, profile=profile, label=label))
        return self.source_here(await super().fetch(key.application, profile, label))

    async def save(self, source: ConfigSource) -> None:
        await super().save(self.source_there(source))

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> list[ConfigSource | None]:
        found = await self.inner(SupportsBatchFetch).fetch_many([self.there(key) for key in keys])
        return [self.source_here(source) for source in found]

    async def fetch_snapshot(self, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
        inner = self.inner(SupportsSnapshots)
        found = await inner.fetch_snapshot([self.there(key) for key in keys])
        return replace(found, sources=tuple(self.source_here(source) for source in found.sources))

    async def fetch_requested(
        self, keys: Sequence[ConfigKey], names: RequestedNames
    ) -> ConfigSnapshot:
        inner = self.inner(SupportsSearchLocations)
        there = replace(names, applications=tuple(self.prefix + one for one in names.applications))
        found = await inner.fetch_requested([self.there(key) for key in keys], there)
        return replace(found, sources=tuple(self.source_here(source) for source in found.sources))

    async def find_resource(
        self, label: str, paths: Sequence[str], names: RequestedNames, *, last_first: bool = False
    ) -> ConfigResource | None:
        inner = self.inner(SupportsSearchLocations)
        return await inner.find_resource(label, paths, names, last_first=last_first)

    async def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        start = None if after is None else self.there(after)
        async for entry in self.inner(SupportsKeys).keys(label, after=start):
            if key := self.here(entry.key):
                yield replace(entry, key=key)

    async def labels(self) -> list[str]:
        return sorted({source.label for source in await self.list()})

    async def has_label(self, label: str) -> bool:
        return await self.inner(SupportsLabels).has_label(label)

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        inner = self.inner(SupportsConditionalSave)
        return await inner.commit(
            self.source_there(source), expected=expected, author=author, message=message
        )

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        inner = self.inner(SupportsDelete)
        await inner.delete(self.there(key), expected=expected, author=author, message=message)

    async def history(
        self, key: ConfigKey, *, limit: int = 100, before: str | None = None
    ) -> list[ConfigVersion]:
        inner = self.inner(SupportsHistory)
        return await inner.history(self.there(key), limit=limit, before=before)

    async def fetch_version(self, key: ConfigKey, version: str) -> ConfigSource | None:
        inner = self.inner(SupportsHistory)
        return self.source_here(await inner.fetch_version(self.there(key), version))

    async def changes_since(self, cursor: str | None) -> ChangeBatch:
        batch = await self.inner(SupportsChanges).changes_since(cursor)
        changes = tuple(found for one in batch.changes if (found := self.change_here(one)))
        return replace(batch, changes=changes)

    def change_here(self, change: Change) -> Change | None:
        if not isinstance(change, BundleChange):
            return change
        key = self.here(change.key)
        return None if key is None else BundleChange(key=key)

    async def list(self) -> list[ConfigSource]:  # last: from here on `list` is this method
        found = [self.source_here(source) for source in await super().list()]
        return [source for source in found if source is not None]


class TestPlain(WrapperConformance):
    @pytest.fixture
    def backend(self, wrapped: ConfigBackend) -> WrapperBackend:
        return WrapperBackend(wrapped)


class TestCounting(WrapperConformance):
    @pytest.fixture
    def backend(self, wrapped: ConfigBackend) -> WrapperBackend:
        return CountingBackend(wrapped)


class TestReadOnly(WrapperConformance):
    @pytest.fixture
    def backend(self, wrapped: ConfigBackend) -> WrapperBackend:
        return ReadOnlyBackend(wrapped)


class TestPrefix(WrapperConformance):
    @pytest.fixture
    def backend(self, wrapped: ConfigBackend) -> WrapperBackend:
        return PrefixBackend(wrapped)


class TestWrapperOfWrappers(WrapperConformance):
    @pytest.fixture
    def backend(self, wrapped: ConfigBackend) -> WrapperBackend:
        return CountingBackend(PrefixBackend(WrapperBackend(wrapped)))


def test_a_caller_gets_the_object_that_has_an_ability() -> None:
    store = InMemoryConfigBackend()
    wrapper = CountingBackend(WrapperBackend(store))
    assert ability(wrapper, SupportsBatchFetch) is wrapper
    assert ability(wrapper, SupportsKeys) is store
    assert ability(ReadOnlyBackend(wrapper), SupportsDelete) is None


def test_the_error_for_an_ability_that_is_lacking_names_both() -> None:
    with pytest.raises(UnsupportedOperationError, match=r"InMemory.* SupportsUpgrade"):
        WrapperBackend(InMemoryConfigBackend()).inner(SupportsUpgrade)
