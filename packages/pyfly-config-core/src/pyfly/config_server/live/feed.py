"""The feed of one store: asks for its changes again and again, and at every hint."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from pyfly.config_core import BackendStaleError, ConfigError
from pyfly.config_server.storage import (
    Change,
    ConfigBackend,
    EverythingChange,
    SupportsChangeHints,
    SupportsChanges,
    ability,
)

__all__ = ["Apply", "Feed"]

_LOG: Final = logging.getLogger(__name__)

Apply: TypeAlias = Callable[[Sequence[Change]], Awaitable[None]]

_LOOK_SECONDS: Final = 30.0
"""A look that takes longer has failed."""
_RETRY_SECONDS: Final = 1.0
"""The longest time between two looks while the store cannot be reached."""
_PATIENCE_SECONDS: Final = 1.0
"""A look that takes longer is too late for those who wait, if their answers are too old."""
_TICK_SECONDS: Final = 0.05
_LAG_SECONDS: Final = 0.05
"""An event loop that wakes a task later than this has too much to do."""
_LOOK_PAUSE: Final = 0.02
"""Seconds between two looks, so that one answers many who ask for it."""
_HINT_PAUSE: Final = 0.1
"""Seconds between two hints: those that come faster are joined."""
_RESTART_SECONDS: Final = 5.0
"""The pause before a failed iterator of hints is started again."""


class Feed:
    """Looks for the changes of one store, in one task of the running event loop.

    Args:
        backend: The store.
        apply: Receives the changes of each look, before the look counts as answered.
        max_staleness: Looks begin at least twice in this time, in seconds. For a store without
            `SupportsChanges` a look is only the statement that everything may have changed. It is
            made when somebody asks for it, or after this time while `is_watched` is true.
        is_watched: True if somebody waits for changes.
        note: Called after each look with the time of its begin, in seconds of the wall clock, and
            with `None` when the store becomes late.
    """

    def __init__(
        self,
        backend: ConfigBackend,
        apply: Apply,
        *,
        max_staleness: float,
        is_watched: Callable[[], bool],
        note: Callable[[float | None], None],
    ) -> None:
        self._name = repr(backend)
        self._changes = ability(backend, SupportsChanges)
        self._hinting = ability(backend, SupportsChangeHints)
        self._apply = apply
        self._is_watched = is_watched
        self._note = note
        self._cursor: str | None = None
        self._failed_at = -math.inf
        self._wanted = asyncio.Event()
        self._finished = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.max_staleness: Final = max_staleness
        self.looked_at = -math.inf
        """The start of the last look that was answered, in seconds of the monotonic clock."""
        self.contact: float | None = None
        """The same in seconds of the wall clock; `None` before the first."""
        self.error: Exception | None = None
        """The error of the last look; `None` if it was answered."""
        self.is_late = False
        """True if a look takes too long, and none was answered since."""

    @property
    def asks_store(self) -> bool:
        """True if a look asks the store. A store without `SupportsChanges` cannot be asked."""
        return self._changes is not None

    @property
    def is_down(self) -> bool:
        """True if the store cannot be reached, as far as is known."""
        return self.error is not None or self.is_late

    @property
    def serves_last_state(self) -> bool:
        """True if the store is down and can be read nevertheless: it keeps its last state."""
        return isinstance(self.error, BackendStaleError)

    def start(self) -> None:
        """Begin to look."""
        self._tasks = [asyncio.create_task(self._run())]
        if self._hinting is not None and self._changes is not None:
            self._tasks.append(asyncio.create_task(self._follow(self._hinting)))

    async def aclose(self) -> None:
        """End the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hint(self) -> None:
        """Look soon."""
        self._wanted.set()

    async def look(self, since: float, *, seconds: float) -> bool:
        """Return true when a look that began at `since` or later was answered.

        Args:
            since: Seconds of the monotonic clock.
            seconds: The longest time to wait.

        Returns:
            False if such a look failed, or if none ended in time.
        """
        was_late = self.is_late
        try:
            async with asyncio.timeout(seconds):
                while self.looked_at < since:
                    if self._failed_at >= since:
                        return False
                    self._wanted.set()
                    await self._finished.wait()
                    if self.is_late and not was_late:
                        return False
        except TimeoutError:
            return self.looked_at >= since
        return True

    async def _run(self) -> None:
        while True:
            await self._due()
            wall = time.time()
            delay = asyncio.create_task(self._note_delay())
            try:
                await self._look(wall)
            finally:
                delay.cancel()
            self._note(wall)
            self._wake()
            await asyncio.sleep(_LOOK_PAUSE)

    def _wake(self) -> None:
        """Let those who wait for a look go on."""
        self._finished.set()
        self._finished = asyncio.Event()

    async def _note_delay(self) -> None:
        """Note that a look takes too long, so that nobody waits for it.

        The time in which this process has too much to do is not counted: it says nothing about the
        store, and taking the store for lost would make more work.
        """
        waited = 0.0
        while waited < _PATIENCE_SECONDS or not self._is_overdue:
            before = time.monotonic()
            await asyncio.sleep(_TICK_SECONDS)
            if time.monotonic() - before < _TICK_SECONDS + _LAG_SECONDS:
                waited += _TICK_SECONDS
        if not self.is_down:
            self.is_late = True
            _LOG.warning("%s does not answer; the last good answers are served", self._name)
            self._note(None)
            self._wake()

    @property
    def _is_overdue(self) -> bool:
        """True if answers are too old without a new look."""
        return time.monotonic() - self.looked_at > self.max_staleness

    async def _due(self) -> None:
        """Return when somebody asks for a look, or when the next one is due."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wanted.wait()
            if self._wanted.is_set() or self._changes is not None or self._is_watched():
                self._wanted.clear()
                return

    def _pause(self) -> float:
        """Return the time until the next look is due."""
        if self._changes is None:
            return self.max_staleness
        begun, pause = max(self.looked_at, self._failed_at), self.max_staleness / 2
        if self.is_down:
            pause = min(pause, _RETRY_SECONDS)
        return max(0.0, begun + pause - time.monotonic())

    async def _look(self, wall: float) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._take_changes()
        except Exception as error:  # noqa: BLE001 - a third-party store may raise anything
            self._failed_at = begun
            if isinstance(error, BackendStaleError):
                self.looked_at = max(self.looked_at, begun - error.age)
            if not self.is_down:
                _LOG.warning("%s: %s; the last good answers are served", self._name, _words(error))
            self.error = error
            return
        if self.is_down:
            _LOG.warning("%s can be reached again", self._name)
        self.looked_at, self.contact = begun, wall
        self.error, self.is_late = None, False

    async def _take_changes(self) -> None:
        if self._changes is None:
            await self._apply((EverythingChange(),))
            return
        batch = await self._changes.changes_since(self._cursor)
        if batch.changes:
            await self._apply(batch.changes)
        self._cursor = batch.cursor

    async def _follow(self, store: SupportsChangeHints) -> None:
        """Look at every hint of the store."""
        while True:
            try:
                async for _ in store.hints():
                    self._wanted.set()
                    await asyncio.sleep(_HINT_PAUSE)
            except Exception as error:  # noqa: BLE001 - a third-party store may raise anything
                _LOG.info("%s: no hints: %s", self._name, _words(error))
            await asyncio.sleep(_RESTART_SECONDS)


def _words(error: Exception) -> str:
    """Return a reason without values, which the text of a third-party error may hold."""
    if isinstance(error, TimeoutError):
        return f"no answer in {_LOOK_SECONDS:g} s"
    return str(error) if isinstance(error, ConfigError) else type(error).__name__
