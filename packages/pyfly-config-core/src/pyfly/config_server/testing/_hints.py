"""The suite for stores that give hints of changes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from pyfly.config_server.storage import (
    ConfigBackend,
    ConfigSource,
    SupportsChangeHints,
)
from pyfly.config_server.testing._suite import Conformance, bundle

_ATTEMPTS = 100
_SECONDS_PER_ATTEMPT = 0.1


class ChangeHintsBackend(ConfigBackend, SupportsChangeHints, Protocol):
    """A store that gives hints."""


class ChangeHintsConformance(Conformance, ability=SupportsChangeHints):
    """Hints that `changes_since` should be called."""

    async def test_a_reader_is_told_after_a_save(self, backend: ChangeHintsBackend) -> None:
        """Without another call."""
        await told(backend, backend.save, readers=1)

    async def test_every_reader_is_told(self, backend: ChangeHintsBackend) -> None:
        """A reader does not consume the hints of another."""
        await told(backend, backend.save, readers=3)

    async def test_a_reader_that_left_does_not_disturb_a_save(
        self, backend: ChangeHintsBackend
    ) -> None:
        """Saving works after a reader was cancelled, and later readers are told."""
        await told(backend, backend.save, readers=1)
        waiting = asyncio.ensure_future(anext(backend.hints()))
        await asyncio.sleep(0)  # one turn of the loop, so that it begins to wait
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        await told(backend, backend.save, readers=1)


async def told(
    hinting: SupportsChangeHints, save: Callable[[ConfigSource], Awaitable[None]], *, readers: int
) -> None:
    """Save until every reader has a hint; hints may be missed, so one save is not enough."""
    streams = [hinting.hints() for _ in range(readers)]
    tasks = [asyncio.ensure_future(anext(stream)) for stream in streams]
    try:
        for number in range(_ATTEMPTS):
            await asyncio.sleep(0)  # one turn of the loop, so that the readers begin to wait
            await save(bundle(properties={"n": number}))
            _, pending = await asyncio.wait(tasks, timeout=_SECONDS_PER_ATTEMPT)
            if not pending:
                break
        assert all(task.done() for task in tasks), "a reader never got a hint"
        for task in tasks:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
