"""The suite itself: it fails for stores that are wrong, and cannot be made to pass."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

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

CHANGES = """
import hashlib
from pyfly.config_server.storage import ChangeBatch, BundleChange, EverythingChange


class Lost(InMemoryConfigBackend):
    # What is written between the look and the cursor.
    async def changes_since(self, cursor):
        batch = await super().changes_since(cursor)
        await asyncio.sleep(0)
        present = await super().changes_since(None)
        return ChangeBatch(cursor=present.cursor, changes=batch.changes)


class Costly(InMemoryConfigBackend):
    # Reads everything to see that nothing has changed.
    async def changes_since(self, cursor):
        for source in await self.list():
            hashlib.sha256(repr(dict(source.properties)).encode())
        return await super().changes_since(cursor)


class CursorBefore(InMemoryConfigBackend):
    # Returns the cursor that it was asked with.
    async def changes_since(self, cursor):
        batch = await super().changes_since(cursor)
        return ChangeBatch(cursor=cursor or batch.cursor, changes=batch.changes)


class CursorLate(InMemoryConfigBackend):
    # Returns the cursor as it was when somebody asked the last time.
    last = None

    async def changes_since(self, cursor):
        batch = await super().changes_since(cursor)
        late, self.last = self.last or batch.cursor, batch.cursor
        return ChangeBatch(cursor=late, changes=batch.changes)


class ForgetsRemovals(InMemoryConfigBackend):
    async def changes_since(self, cursor):
        batch = await super().changes_since(cursor)
        stored = {source.key for source in await self.list()}
        kept = tuple(one for one in batch.changes
                     if not isinstance(one, BundleChange) or one.key in stored)
        return ChangeBatch(cursor=batch.cursor, changes=kept)


class UnknownIsNothing(InMemoryConfigBackend):
    async def changes_since(self, cursor):
        batch = await super().changes_since(cursor)
        kept = tuple(one for one in batch.changes if not isinstance(one, EverythingChange))
        return ChangeBatch(cursor=batch.cursor, changes=kept)


class OldIsForgotten(InMemoryConfigBackend):
    # Of many changes only the last ones are named, and not everything.
    async def changes_since(self, cursor):
        batch = await super().changes_since(cursor)
        return ChangeBatch(cursor=batch.cursor, changes=batch.changes[:8])


class FirstTakesAll(InMemoryConfigBackend):
    told = frozenset()

    async def changes_since(self, cursor):
        batch = await super().changes_since(cursor)
        fresh = tuple(one for one in batch.changes
                      if (one, batch.cursor) not in self.told or one == EverythingChange())
        self.told |= {(one, batch.cursor) for one in fresh}
        return ChangeBatch(cursor=batch.cursor, changes=fresh)


class ContentOnly(InMemoryConfigBackend):
    # A cursor that is a digest of names: other content is no change.
    async def changes_since(self, cursor):
        present = "|".join(str(source.key) for source in await self.list())
        changes = () if cursor in {None, present} else (EverythingChange(),)
        return ChangeBatch(cursor=present, changes=changes)


class SaveOnly(InMemoryConfigBackend):
    # A commit is no change.
    silent = False

    async def save(self, source):
        await super().commit(source, expected=ANY)

    async def commit(self, source, *, expected, author=None, message=None):
        self.silent = True
        return await super().commit(source, expected=expected)

    async def changes_since(self, cursor):
        batch = await super().changes_since(cursor)
        changes = () if self.silent else batch.changes
        self.silent = False
        return ChangeBatch(cursor=batch.cursor, changes=changes)


class Shared(InMemoryConfigBackend):
    # Another object over the same bundles, whose writes this one does not notice.
    def __init__(self, shared=None):
        super().__init__()
        if shared is not None:
            self._changes = shared._changes


class Restless(InMemoryConfigBackend):
    # A cursor that moves with every question.
    async def changes_since(self, cursor):
        batch = await super().changes_since(cursor)
        self._journal.append(self._next_version(), [])
        return batch


def suite(kind):
    class Test(ChangesConformance):
        @pytest.fixture
        def backend(self):
            return kind()
    Test.__name__ = Test.__qualname__ = f"Test{kind.__name__}"
    return Test


TestLost = suite(Lost)
TestCostly = suite(Costly)
TestCursorBefore = suite(CursorBefore)
TestCursorLate = suite(CursorLate)
TestForgetsRemovals = suite(ForgetsRemovals)
TestUnknownIsNothing = suite(UnknownIsNothing)
TestOldIsForgotten = suite(OldIsForgotten)
TestFirstTakesAll = suite(FirstTakesAll)
TestContentOnly = suite(ContentOnly)
TestSaveOnly = suite(SaveOnly)
TestRestless = suite(Restless)
TestRight = suite(InMemoryConfigBackend)


class TestShared(ChangesConformance):
    @pytest.fixture
    def backend(self):
        self.store = Shared()
        return self.store

    async def open_another(self):
        return Shared(self.store)
"""

WRAPPERS = """
from dataclasses import replace
from pyfly.config_server.storage import (
    SupportsBatchFetch, SupportsConditionalSave, SupportsDelete, SupportsKeys, WrapperBackend,
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


def run(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_it.py").write_text(HEAD + code, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nstrict = true\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "--no-header", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"CI": "true"},  # where pytest shows every difference whole
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_three_right_methods_pass(tmp_path: Path) -> None:
    done = run(tmp_path, GOOD)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (FORGOTTEN, "SupportsKeys: add KeysConformance to the bases of TestForgotten"),
        (REPLACED, "replaces"),
        (ALIASED, "alias"),
        (LOST_TYPE, "comes_back_exactly"),
    ],
)
def test_a_wrong_store_or_class_fails(tmp_path: Path, code: str, said: str) -> None:
    if code is REPLACED:
        code = code.replace("test_an_empty_store_lists_nothing", name_of_some_test())
    done = run(tmp_path, code)
    assert done.returncode in {1, 2}, done.stdout
    assert said in done.stdout


def name_of_some_test() -> str:
    from pyfly.config_server.testing import BackendConformance  # noqa: PLC0415

    return next(name for name in vars(BackendConformance) if name.startswith("test"))


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, dict[str, str]]]:
    """Run a module of test classes once; return the failed tests of each, with their messages."""

    @cache
    def failed(code: str) -> dict[str, dict[str, str]]:
        done = run(tmp_path_factory.mktemp("suite"), code)
        classes = dict.fromkeys(re.findall(r"^(?:class )?(Test\w+)(?:\(| =)", code, re.MULTILINE))
        found: dict[str, dict[str, str]] = {name: {} for name in classes}
        assert done.returncode == 1, done.stdout
        assert "ERROR" not in done.stdout, done.stdout
        # From the heading of each failure to the next one.
        parts = re.split(r"^_+ (Test\w+)\.(test_\w+)\S* _+$", done.stdout, flags=re.MULTILINE)
        for name, test, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            found[name][test] = text
        return found

    return failed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SyncList", "`list` must be async: async def list(self)"),
        (
            "NoLabelName",
            "`fetch` must accept (self, application, profile, label='main'); it has "
            "(application, profile, branch='main')",
        ),
        ("OldCommit", "`commit` must accept (self, source, *, expected, author=None, message=None"),
        ("KeysNotYielded", "`keys` is `async def` without `yield`"),
        ("KeysOfAGenerator", "`keys` must return an async iterator"),
        ("AsyncAbility", "`ability` must be a method that is not async"),
        ("EmptyAbility", "EmptyAbility has no method `delete` of SupportsDelete"),
        ("Flag", "`has_base_bundles` must be True or False"),
        ("Class", "the fixture `backend` returns the class Kept"),
        ("AsyncFixture", "AsyncFixture has no method `save` of ConfigBackend"),
    ],
)
def test_a_wrong_shape_fails_one_test_that_says_why(
    failed: Callable[[str], dict[str, dict[str, str]]], name: str, said: str
) -> None:
    tests = failed(SHAPES)
    assert [*tests[f"Test{name}"]] == ["test_the_store_has_the_shape_of_the_interface"]
    assert said in tests[f"Test{name}"]["test_the_store_has_the_shape_of_the_interface"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("Lost", "test_no_change_is_missed_while_several_write"),
        ("Costly", "test_an_idle_look_costs_the_same_for_large_bundles"),
        ("CursorBefore", "test_every_save_is_named_and_moves_the_cursor"),
        ("CursorLate", "test_every_save_is_named_and_moves_the_cursor"),
        ("ForgetsRemovals", "test_a_removal_is_named"),
        ("UnknownIsNothing", "test_an_unknown_cursor_gives_everything"),
        ("OldIsForgotten", "test_changes_add_up_from_an_older_cursor"),
        ("FirstTakesAll", "test_a_change_is_named_until_the_new_cursor_is_used"),
        ("ContentOnly", "test_every_save_is_named_and_moves_the_cursor"),
        ("SaveOnly", "test_a_conditional_save_and_a_base_bundle_are_named"),
        ("Shared", "test_a_write_through_another_object_is_named"),
        ("Restless", "test_nothing_changed_while_nothing_was_written"),
    ],
)
def test_a_store_that_loses_changes_fails(
    failed: Callable[[str], dict[str, dict[str, str]]], name: str, test: str
) -> None:
    tests = failed(CHANGES)
    assert test in tests[f"Test{name}"]
    assert not tests["TestRight"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("Prefix", "test_a_batch_holds_what_fetches_return"),
        ("Prefix", "test_a_snapshot_holds_what_fetches_return"),
        ("Prefix", "test_keys_are_those_of_a_listing"),
        ("Prefix", "test_labels_are_those_of_a_listing"),
        ("Prefix", "test_the_newest_version_is_what_a_fetch_returns"),
        ("Prefix", "test_a_commit_is_returned_by_the_next_fetch"),
        ("Prefix", "test_a_removed_bundle_is_fetched_no_more"),
        ("Prefix", "test_a_change_has_the_name_that_a_fetch_needs"),
        ("ClaimsAll", "test_an_ability_that_the_store_below_lacks_is_not_claimed"),
        ("HalfHistory", "test_a_method_of_an_ability_does_not_stand_alone"),
        ("StaysOpen", "test_closing_closes_the_store_below"),
        ("NoBase", "test_the_wrapper_has_the_base_bundles_of_the_store_below"),
        ("ReadOnlyThatWrites", "test_a_save_is_returned_by_the_next_fetch"),
        ("LosesAuthors", "test_a_commit_is_returned_by_the_next_fetch"),
        ("LosesAuthors", "test_a_removed_bundle_is_fetched_no_more"),
        ("SmallKeys", "test_keys_are_those_of_a_listing"),
    ],
)
def test_a_wrong_wrapper_fails(
    failed: Callable[[str], dict[str, dict[str, str]]], name: str, test: str
) -> None:
    assert test in failed(WRAPPERS)[f"Test{name}"]
