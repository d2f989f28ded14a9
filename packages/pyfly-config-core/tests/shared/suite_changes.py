"""A test module for the suite itself, as a text: stores that lose changes."""

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
