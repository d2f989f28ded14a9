"""The suite for stores that list changes."""

import asyncio
import time
from dataclasses import replace
from typing import Protocol

from pyfly.config_core import BASE_PROFILE, ConfigKey
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    BundleChange,
    ChangeBatch,
    ConfigBackend,
    EverythingChange,
    LabelChange,
    SupportsChanges,
    SupportsConditionalSave,
    SupportsDelete,
    ability,
    has_base_bundles,
)
from pyfly.config_server.testing._suite import Conformance, bundle, close

_WRITERS = 4
_WRITES = 8
_FIRST = 100
"""The number of bundles before the writers begin."""
_PAUSES = 5
_REMOVED = 2
"""The number of writers that remove their bundle at the end."""
_OLDER = 32
"""The number of changes between an old cursor and the present cursor."""
_LARGE = 4
_LARGE_TEXT = 240_000
"""The number of large bundles, and their size in characters."""
_IDLE_LOOKS = 20
_MOST_LOOKS = 500
_LOOK_PAUSE = 0.02
"""Seconds between two looks, because a store may look twice at what was written lately."""
_COST_RATIO = 3
_COST_SECONDS = 0.0003
"""An idle look at large bundles may cost three times the CPU time of one at small bundles, and
0.3 ms, in which nobody can read them. Both are measured in one process, so that its speed does not
count."""


class ChangesBackend(ConfigBackend, SupportsChanges, Protocol):
    """A store that lists changes."""


class ChangesConformance(Conformance, ability=SupportsChanges):
    """Changes since a cursor. The test class overrides `open_another`."""

    async def test_nothing_changed_while_nothing_was_written(self, backend: ChangesBackend) -> None:
        """Reading does not change the cursor and is not a change."""
        await backend.save(bundle())
        start = await backend.changes_since(None)
        assert start.changes == ()
        await backend.fetch("orders", "prod")
        await backend.fetch("absent", "prod")
        await backend.list()
        assert await backend.changes_since(start.cursor) == start

    async def test_an_idle_look_costs_the_same_for_large_bundles(
        self, backend: ChangesBackend
    ) -> None:
        """A look reads no content while nothing changes: its CPU time does not grow with it."""
        sources = [bundle(f"app{number}") for number in range(_LARGE)]
        for source in sources:
            await backend.save(source)
        small = await _idle_cost(backend, enough=0.0, most=_IDLE_LOOKS)
        for source in sources:
            await backend.save(replace(source, properties={"text": "x" * _LARGE_TEXT}))
        allowed = _COST_RATIO * small + _COST_SECONDS
        large = await _idle_cost(backend, enough=allowed, most=_MOST_LOOKS)
        assert large <= allowed, (
            f"a look without a change costs {large * 1000:.2f} ms of CPU time with large bundles, "
            f"{small * 1000:.2f} ms with small ones; compare names and versions, not content"
        )

    async def test_every_save_is_named_and_moves_the_cursor(self, backend: ChangesBackend) -> None:
        """A new bundle, new content, new types and a new label, each with a new cursor."""
        batch = await backend.changes_since(None)
        cursors = [batch.cursor]
        for source in (
            bundle(properties={"n": 1}),
            bundle(properties={"n": 2}),
            bundle(properties={"n": "2"}),
            bundle(properties={"n": "2", "m": None}),
            bundle("billing", properties={"n": 2}),
            bundle(profile="dev", properties={"n": 2}),
            bundle(label="feature/x", properties={"n": 2}),
        ):
            await backend.save(source)
            batch = await backend.changes_since(cursors[-1])
            assert _names(batch, source.key)
            cursors.append(batch.cursor)
        assert len(set(cursors)) == len(cursors)

    async def test_a_change_is_named_until_the_new_cursor_is_used(
        self, backend: ChangesBackend
    ) -> None:
        """A call does not consume changes, and there are no changes since the new cursor."""
        start = await backend.changes_since(None)
        await backend.save(bundle())
        batches = [await backend.changes_since(start.cursor) for _ in range(3)]
        assert all(_names(batch, bundle().key) for batch in batches)
        after = batches[-1].cursor
        assert await backend.changes_since(after) == ChangeBatch(cursor=after)
        assert (await backend.changes_since(None)).cursor == after

    async def test_changes_add_up_from_an_older_cursor(self, backend: ChangesBackend) -> None:
        """All changes are named, or everything, even if another reader asked in between."""
        start = await backend.changes_since(None)
        cursor = start.cursor
        sources = [bundle(f"app{number}") for number in range(_OLDER)]
        for source in sources:
            await backend.save(source)
            cursor = (await backend.changes_since(cursor)).cursor
        batch = await backend.changes_since(start.cursor)
        assert all(_names(batch, source.key) for source in sources)
        assert batch.cursor == cursor

    async def test_a_conditional_save_and_a_base_bundle_are_named(
        self, backend: ChangesBackend
    ) -> None:
        """Every kind of write that the store supports is a change."""
        writer = ability(backend, SupportsConditionalSave)
        start = await backend.changes_since(None)
        if writer is not None:
            await writer.commit(bundle(), expected=ABSENT)
            batch = await backend.changes_since(start.cursor)
            assert _names(batch, bundle().key)
            start = batch
        if has_base_bundles(backend):
            base = bundle(profile=BASE_PROFILE)
            await backend.save(base)
            assert _names(await backend.changes_since(start.cursor), base.key)

    async def test_a_removal_is_named(self, backend: ChangesBackend) -> None:
        """For stores that can remove."""
        store = ability(backend, SupportsDelete)
        if store is None:
            return
        await backend.save(bundle())
        start = await backend.changes_since(None)
        await store.delete(bundle().key, expected=ANY)
        batch = await backend.changes_since(start.cursor)
        assert batch.cursor != start.cursor
        assert _names(batch, bundle().key)

    async def test_a_state_that_comes_back_hides_no_change(self, backend: ChangesBackend) -> None:
        """A bundle is stored, removed and stored again: every step is named."""
        store = ability(backend, SupportsDelete)
        if store is None:
            return
        states: list[tuple[bool, str]] = []
        for is_stored in (False, True, False, True, False):
            if is_stored:
                await backend.save(bundle(properties={"n": 1}))
            else:
                await store.delete(bundle().key, expected=ANY)
            present = (await backend.changes_since(None)).cursor
            for was_stored, cursor in states:
                if was_stored != is_stored:
                    batch = await backend.changes_since(cursor)
                    assert _names(batch, bundle().key)
                    assert batch.cursor == present
            states.append((is_stored, present))

    async def test_an_unknown_cursor_gives_everything(self, backend: ChangesBackend) -> None:
        """A text that is not a cursor, and a cursor of another store."""
        await backend.save(bundle())
        for cursor in ("", "0", "no cursor", "x" * 1000, "9" * 30, "\0", "-1", "1"):
            batch = await backend.changes_since(cursor)
            assert EverythingChange() in batch.changes, cursor
            assert batch.cursor == (await backend.changes_since(None)).cursor

    async def test_a_write_through_another_object_is_named(self, backend: ChangesBackend) -> None:
        """If two processes see one store, each sees the other's changes and accepts its cursors."""
        other = await self.open_another()
        if other is None:
            return
        try:
            mine = await backend.changes_since(None)
            await other.save(bundle())
            assert _names(await backend.changes_since(mine.cursor), bundle().key)
            theirs = await other.changes_since(None)
            assert theirs.cursor == (await backend.changes_since(None)).cursor
            assert (await backend.changes_since(theirs.cursor)).changes == ()
            await backend.save(bundle("billing"))
            for asked in (backend, other):
                for cursor in (mine.cursor, theirs.cursor):
                    batch = await asked.changes_since(cursor)
                    assert _names(batch, bundle("billing").key)
        finally:
            await close(other)

    async def test_no_change_is_missed_while_several_write(self, backend: ChangesBackend) -> None:
        """A reader sees every concurrent write, in this call or in the next."""
        seen = {bundle(f"app{n}").key: _FIRST for n in range(_WRITERS)}
        for key in seen:
            await backend.save(bundle(key.application, properties={"n": _FIRST}))
        batch = await backend.changes_since(None)
        writers = [asyncio.ensure_future(_write(backend, number)) for number in range(_WRITERS)]
        try:
            while not all(writer.done() for writer in writers):
                batch = await backend.changes_since(batch.cursor)
                await _read_changed(backend, batch, seen)
                await asyncio.sleep(0)
        finally:
            await asyncio.gather(*writers)
        batch = await backend.changes_since(batch.cursor)
        await _read_changed(backend, batch, seen)
        # A reader that fetched exactly the named bundles has the last content of every bundle.
        last = {bundle(f"app{n}").key: _WRITES for n in range(_WRITERS)}
        if ability(backend, SupportsDelete) is not None:
            last |= {bundle(f"app{n}").key: 0 for n in range(_REMOVED)}
        assert seen == last

    async def open_another(self) -> ChangesBackend | None:
        """Return another object for the store of the fixture, as another process would open it.

        A test class overrides this, unless the content is kept in the store object itself. The
        suite closes the returned object.
        """
        return None


async def _idle_cost(backend: SupportsChanges, *, enough: float, most: int) -> float:
    """Return the seconds of CPU time of the cheapest look without a change.

    Args:
        backend: The store.
        enough: No further look is made after one that costs at most this.
        most: The number of looks.
    """
    cursor, cheapest = (await backend.changes_since(None)).cursor, float("inf")
    for _ in range(most):
        began = time.process_time()
        cursor = (await backend.changes_since(cursor)).cursor
        cheapest = min(cheapest, time.process_time() - began)
        if cheapest <= enough:
            break
        if enough:
            await asyncio.sleep(_LOOK_PAUSE)
    return cheapest


def _names(batch: ChangeBatch, key: ConfigKey) -> bool:
    """True if the changes cover the bundle."""
    return any(
        change == BundleChange(key=key)
        or change == LabelChange(label=key.label)
        or isinstance(change, EverythingChange)
        for change in batch.changes
    )


async def _write(backend: ConfigBackend, writer: int) -> None:
    source = bundle(f"app{writer}")
    # Pauses of different lengths, so that writes happen at every point of a read.
    for number in range(1, _WRITES + 1):
        await backend.save(replace(source, properties={"n": number}))
        for _ in range((number + writer) % _PAUSES):
            await asyncio.sleep(0)
    remover = ability(backend, SupportsDelete)
    if remover is not None and writer < _REMOVED:
        await remover.delete(source.key, expected=ANY)


async def _read_changed(
    backend: ConfigBackend, batch: ChangeBatch, seen: dict[ConfigKey, int]
) -> None:
    """Fetch the changed bundles, as a cache does."""
    for writer in range(_WRITERS):
        key = bundle(f"app{writer}").key
        if _names(batch, key):
            found = await backend.fetch(key.application, key.profile, key.label)
            number = 0 if found is None else found.properties["n"]
            assert isinstance(number, int)
            seen[key] = number
