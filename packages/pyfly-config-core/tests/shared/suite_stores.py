"""Test modules for the suite itself, as texts: stores that are right, or wrong in shape."""

HEAD = """
import asyncio
import pytest
from pyfly.config_core import ConfigKey, UnsupportedOperationError
from pyfly.config_server import InMemoryConfigBackend
from pyfly.config_server.storage import ANY
from pyfly.config_server.testing import *


class Kept:
    def __init__(self):
        self.kept = {}

    async def fetch(self, application, profile, label="main"):
        from pyfly.config_core import ConfigKey
        return self.kept.get(ConfigKey(application=application, profile=profile, label=label))

    async def save(self, source):
        self.kept[source.key] = source

    async def list(self):
        order = lambda key: (key.label, key.application, key.profile)
        return [self.kept[key] for key in sorted(self.kept, key=order)]
"""

FORGOTTEN = """
class TestForgotten(BackendConformance):
    @pytest.fixture
    def backend(self):
        return InMemoryConfigBackend()
"""

REPLACED = """
class TestReplaced(BackendConformance):
    @pytest.fixture
    def backend(self):
        return Kept()

    async def test_an_empty_store_lists_nothing(self, backend):
        assert True
"""

ALIASED = """
class TestAliased(BackendConformance):
    @pytest.fixture
    def backend(self):
        return Kept()
"""

LOST_TYPE = """
from dataclasses import replace


class Stringly(Kept):
    async def save(self, source):
        texts = {key: str(value) for key, value in source.properties.items()}
        await super().save(replace(source, properties=texts))


class TestLostType(BackendConformance):
    @pytest.fixture
    def backend(self):
        return Stringly()
"""

GOOD = """
from dataclasses import replace


class Copying(Kept):
    async def fetch(self, application, profile, label="main"):
        found = await super().fetch(application, profile, label)
        return None if found is None else replace(found)

    async def save(self, source):
        await super().save(replace(source, version=None, resource=None, documents=()))

    async def list(self):
        return [replace(source) for source in await super().list()]


class TestGood(BackendConformance):
    @pytest.fixture
    def backend(self):
        return Copying()
"""

SHAPES = """
from pyfly.config_server.storage import ConfigSource


class TestSyncList(BackendConformance):
    @pytest.fixture
    def backend(self):
        class SyncList(Kept):
            def list(self):
                return []
        return SyncList()


class TestNoLabelName(BackendConformance):
    @pytest.fixture
    def backend(self):
        class NoLabelName(Kept):
            async def fetch(self, application, profile, branch="main"):
                return None
        return NoLabelName()


class TestOldCommit(BackendConformance, ConditionalSaveConformance):
    @pytest.fixture
    def backend(self):
        class OldCommit(Kept):
            async def commit(self, source, expected):
                return "1"
        return OldCommit()


class TestKeysNotYielded(BackendConformance, KeysConformance):
    @pytest.fixture
    def backend(self):
        class KeysNotYielded(Kept):
            async def keys(self, label=None, *, after=None):
                return []
        return KeysNotYielded()


class TestKeysOfAGenerator(BackendConformance, KeysConformance):
    @pytest.fixture
    def backend(self):
        class KeysOfAGenerator(Kept):
            def keys(self, label=None, *, after=None):
                yield None
        return KeysOfAGenerator()


class TestAsyncAbility(BackendConformance):
    @pytest.fixture
    def backend(self):
        class AsyncAbility(Kept):
            async def ability(self, kind):
                return None
        return AsyncAbility()


class TestEmptyAbility(BackendConformance, DeleteConformance):
    @pytest.fixture
    def backend(self):
        class EmptyAbility(Kept):
            def ability(self, kind):
                return self if kind.__name__ == "SupportsDelete" else None
        return EmptyAbility()


class TestFlag(BackendConformance):
    @pytest.fixture
    def backend(self):
        class Flag(Kept):
            def has_base_bundles(self):
                return True
        return Flag()


class TestClass(BackendConformance):
    @pytest.fixture
    def backend(self):
        return Kept


class TestAsyncFixture(BackendConformance):
    @pytest.fixture
    async def backend(self):
        class AsyncFixture(Kept):
            save = None
        return AsyncFixture()
"""
