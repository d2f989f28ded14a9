"""A test module for the suite itself, as a text: wrappers that are wrong."""

WRAPPERS = """
from dataclasses import replace
from pyfly.config_server.storage import (
    SupportsBatchFetch, SupportsConditionalSave, SupportsDelete, SupportsKeys, WrapperBackend
)


class Prefix(WrapperBackend):
    # Changes what is fetched, saved and listed, and passes everything else on.
    def here(self, source):
        name = source.application.removeprefix("team.")
        return None if name == source.application else replace(source, application=name)

    async def fetch(self, application, profile, label="main"):
        found = await super().fetch("team." + application, profile, label)
        return None if found is None else self.here(found)

    async def save(self, source):
        await super().save(replace(source, application="team." + source.application))

    async def list(self):
        found = [self.here(source) for source in await super().list()]
        return [source for source in found if source is not None]


class ClaimsAll(WrapperBackend):
    async def fetch_many(self, keys):
        return [await self.fetch(k.application, k.profile, k.label) for k in keys]

    def ability(self, kind):
        return super().ability(kind) or (self if kind is SupportsBatchFetch else None)


class HalfHistory(WrapperBackend):
    async def fetch_version(self, key, version):
        return None


class StaysOpen(WrapperBackend):
    async def aclose(self):
        pass


class NoBase(WrapperBackend):
    has_base_bundles = False


class ReadOnlyThatWrites(WrapperBackend):
    async def save(self, source):
        await super().save(source)
        raise UnsupportedOperationError("a read-only store", "saving")


class LosesAuthors(WrapperBackend):
    async def commit(self, source, *, expected, author=None, message=None):
        return await self.inner(SupportsConditionalSave).commit(source, expected=expected)

    async def delete(self, key, *, expected, author=None, message=None):
        await self.inner(SupportsDelete).delete(key, expected=expected)


class SmallKeys(WrapperBackend):
    async def keys(self, label=None, *, after=None):
        async for entry in self.inner(SupportsKeys).keys(label):
            yield entry


def suite(kind):
    class Test(WrapperConformance):
        @pytest.fixture
        def backend(self, wrapped):
            return kind(wrapped)
    Test.__name__ = Test.__qualname__ = f"Test{kind.__name__}"
    return Test


TestPrefix = suite(Prefix)
TestClaimsAll = suite(ClaimsAll)
TestHalfHistory = suite(HalfHistory)
TestStaysOpen = suite(StaysOpen)
TestNoBase = suite(NoBase)
TestReadOnlyThatWrites = suite(ReadOnlyThatWrites)
TestLosesAuthors = suite(LosesAuthors)
TestSmallKeys = suite(SmallKeys)
"""
