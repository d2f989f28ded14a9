"""The suites for stores that tell what changed."""

import asyncio
from typing import Protocol

from pyfly.config_core import ConfigKey
from pyfly.config_server.storage import (
    ANY,
    BundleChange,
    ChangeBatch,
    ConfigBackend,
    EverythingChange,
    LabelChange,
    SupportsChangeHints,
    SupportsChanges,
    SupportsDelete,
    ability,
)
from pyfly.config_server.testing._suite import Conformance, bundle

_ATTEMPTS = 100
_SECONDS_PER_ATTEMPT = 0.1
_WRITERS = 4
_WRITES = 8


class ChangesBackend(ConfigBackend, SupportsChanges, Protocol):
    """A store that tells what changed."""


class ChangeHintsBackend(ConfigBackend, SupportsChangeHints, Protocol):
    """A store that tells when to ask."""


class ChangesConformance(Conformance, ability=SupportsChanges):
    """What changed since a cursor."""

    async def test_nothing_changed_while_nothing_was_written(self, backend: ChangesBackend) -> None:
        """The cursor stays and no change is named, whatever is read."""
        await backend.save(bundle())
        start = await backend.changes_since(None)
        assert start.changes == ()
        await backend.fetch("orders", "prod")
        await backend.fetch("absent", "prod")
        await backend.list()
        assert await backend.changes_since(start.cursor) == start

    async def test_every_save_is_named_and_moves_the_cursor(self, backend: ChangesBackend) -> None:
        """A new bundle, new content, new types and a new label; no cursor comes twice."""
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

    async def test_changes_add_up_from_an_older_cursor(self, backend: ChangesBackend) -> None:
        """All that was written since, as long as the cursor is remembered."""
        start = await backend.changes_since(None)
        sources = [bundle(f"app{number}") for number in range(3)]
        for source in sources:
            await backend.save(source)
            await backend.changes_since(None)
        batch = await backend.changes_since(start.cursor)
        assert all(_names(batch, source.key) for source in sources)

    async def test_a_removal_is_named(self, backend: ChangesBackend) -> None:
        """Where the store can remove."""
        store = ability(backend, SupportsDelete)
        if store is None:
            return
        await backend.save(bundle())
        start = await backend.changes_since(None)
        await store.delete(bundle().key, expected=ANY)
        batch = await backend.changes_since(start.cursor)
        assert batch.cursor != start.cursor
        assert _names(batch, bundle().key)

    async def test_an_unknown_cursor_gives_everything(self, backend: ChangesBackend) -> None:
        """Text that no store returned, and text of another store."""
        await backend.save(bundle())
        for cursor in ("", "0", "no cursor", "x" * 1000, "9" * 30, "\0"):
            batch = await backend.changes_since(cursor)
            assert EverythingChange() in batch.changes, cursor
            assert batch.cursor == (await backend.changes_since(None)).cursor

    async def test_no_change_is_missed_while_several_write(self, backend: ChangesBackend) -> None:
        """Whoever asks while others write hears of every write, now or the next time."""
        batch = await backend.changes_since(None)
        writers = [asyncio.ensure_future(_write(backend, number)) for number in range(_WRITERS)]
        seen: dict[ConfigKey, int] = {}
        try:
            while not all(writer.done() for writer in writers):
                batch = await backend.changes_since(batch.cursor)
                await _read_changed(backend, batch, seen)
                await asyncio.sleep(0)
        finally:
            await asyncio.gather(*writers)
        batch = await backend.changes_since(batch.cursor)
        await _read_changed(backend, batch, seen)
        # Whoever read again exactly what was named has the last content of every bundle.
        assert seen == {bundle(f"app{number}").key: _WRITES for number in range(_WRITERS)}


class ChangeHintsConformance(Conformance, ability=SupportsChangeHints):
    """When it is time to ask."""

    async def test_a_reader_is_told_after_a_save(self, backend: ChangeHintsBackend) -> None:
        """Without asking again."""
        await _told(backend, readers=1)

    async def test_every_reader_is_told(self, backend: ChangeHintsBackend) -> None:
        """One reader does not take the hint from another."""
        await _told(backend, readers=3)

    async def test_a_reader_that_left_does_not_disturb_a_save(
        self, backend: ChangeHintsBackend
    ) -> None:
        """Saving works after a reader was cancelled, and later readers are told."""
        await _told(backend, readers=1)
        waiting = asyncio.ensure_future(anext(backend.hints()))
        await asyncio.sleep(0)  # one turn of the loop: it begins to wait
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        await _told(backend, readers=1)


def _names(batch: ChangeBatch, key: ConfigKey) -> bool:
    """True if the changes cover the bundle."""
    return any(
        change == BundleChange(key=key)
        or change == LabelChange(label=key.label)
        or isinstance(change, EverythingChange)
        for change in batch.changes
    )


async def _write(backend: ConfigBackend, writer: int) -> None:
    for number in range(1, _WRITES + 1):
        await backend.save(bundle(f"app{writer}", properties={"n": number}))
        await asyncio.sleep(0)


async def _read_changed(
    backend: ConfigBackend, batch: ChangeBatch, seen: dict[ConfigKey, int]
) -> None:
    """Read the bundles that the changes cover, as a cache does."""
    for writer in range(_WRITERS):
        key = bundle(f"app{writer}").key
        if _names(batch, key):
            found = await backend.fetch(key.application, key.profile, key.label)
            number = 0 if found is None else found.properties["n"]
            assert isinstance(number, int)
            seen[key] = number


async def _told(backend: ChangeHintsBackend, *, readers: int) -> None:
    """Save until every reader was told; a hint may be missed, so one save is not enough."""
    streams = [backend.hints() for _ in range(readers)]
    tasks = [asyncio.ensure_future(anext(stream)) for stream in streams]
    try:
        for number in range(_ATTEMPTS):
            await asyncio.sleep(0)  # one turn of the loop: the readers begin to wait
            await backend.save(bundle(properties={"n": number}))
            _, pending = await asyncio.wait(tasks, timeout=_SECONDS_PER_ATTEMPT)
            if not pending:
                break
        assert all(task.done() for task in tasks), "a reader was never told"
        for task in tasks:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
