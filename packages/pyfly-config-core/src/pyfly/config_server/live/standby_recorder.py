"""What a store returned, on its way to the standby: confirmed, collected and written in batches."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pyfly.config_core import (
    BackendError,
    BackendUnavailableError,
    ConfigError,
    ConfigKey,
    UnsupportedOperationError,
)
from pyfly.config_server.files.threads import Threads
from pyfly.config_server.live.standby_current import CurrentResults
from pyfly.config_server.live.standby_records import RecordKey
from pyfly.config_server.live.standby_results import Kept
from pyfly.config_server.live.standby_shelf import Observation, StandbyShelf, fingerprint_of
from pyfly.config_server.storage import (
    ChangeBatch,
    ConfigBackend,
    ConfigResource,
    ConfigSnapshot,
    ConfigSource,
    SupportsChanges,
    SupportsLabels,
    ability,
)

__all__ = [
    "AGAIN_SECONDS",
    "CONFIRM_SECONDS",
    "LOOK_SECONDS",
    "PAUSE_SECONDS",
    "Moment",
    "StandbyRecorder",
]


_LOG: Final = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 1.0
"""The time between two batches."""
LOOK_SECONDS: Final = 10.0
"""The time between two looks at the store of this module, if nobody else looks."""
CONFIRM_SECONDS: Final = 60.0
"""The time after which it is noted on the disk that results are still current."""
AGAIN_SECONDS: Final = 30.0
"""A result that is the same again is noted after this time."""
_FAILING_PAUSES: Final = 10
"""While the disk fails, the time between two batches is so many times as long."""
_WRITE_SECONDS: Final = 60.0
_LAST_SECONDS: Final = 1.0
"""The time for the last batch when the server stops."""
_MAX_WAITING: Final = 10_000
_MAX_WAITING_BYTES: Final = 67_108_864


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The beginning of a call."""

    wall: float = field(default_factory=time.time)
    steady: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    value: Kept = field(repr=False)
    began: Moment
    ended: float
    """By the monotonic clock."""


class StandbyRecorder:
    """Collects results of a store and writes them to the disk, in a thread.

    A result is written when the store was alive after it: after a look at the changes of the
    store that began later, or at once for a store without `SupportsChanges`.

    Args:
        backend: The store.
        shelf: The records on the disk.
    """

    def __init__(self, backend: ConfigBackend, shelf: StandbyShelf) -> None:
        self._backend = backend
        self._shelf = shelf
        self._feed = ability(backend, SupportsChanges)
        self._threads = Threads(1, name="pyfly-config-standby-write")
        self._waiting: dict[RecordKey, _Waiting] = {}
        self._bytes = 0
        self._seen: dict[RecordKey, tuple[Hashable, float]] = {}
        self._changed: dict[ConfigKey, float] = {}
        self._unread: dict[ConfigKey, None] = {}
        self._current = CurrentResults()
        self._next_confirmation = time.monotonic() + CONFIRM_SECONDS
        self._changed_at = self._looked_at = self._others_looked_at = float("-inf")
        self._next_look = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False
        self._is_closing = asyncio.Event()

    # --- called by the wrapper --------------------------------------------------------

    def note(self, key: RecordKey, value: Kept, began: Moment) -> None:
        """Take a result of the store."""
        now = time.monotonic()
        mark = fingerprint_of(value)
        known = self._seen.get(key)
        if known is not None and mark is not None and known[0] == mark and now < known[1]:
            return
        if began.steady < self._changed_at:  # the result may be older than a write
            return
        before = self._waiting.get(key)
        if before is not None and before.began.steady > began.steady:
            return
        self._drop(key)
        self._current.read(key, began=began.steady)
        size = _size(value)
        if len(self._waiting) >= _MAX_WAITING or self._bytes + size > _MAX_WAITING_BYTES:
            return
        self._waiting[key] = _Waiting(value=value, began=began, ended=now)
        self._bytes += size
        if len(self._seen) >= _MAX_WAITING:
            self._seen.clear()
        self._seen[key] = (mark, now + AGAIN_SECONDS)
        self._start()

    def change(self, key: ConfigKey) -> None:
        """Forget the results that depend on a bundle, because this process has written it."""
        self._changed_at = time.monotonic()
        noted = {**self._seen, **self._waiting}
        snapshots = (one for one in noted if one.depends_on(key))
        for one in (RecordKey.of_bundle(key), RecordKey.of_label(key.label), *snapshots):
            self._seen.pop(one, None)
            self._drop(one)
            self._current.discard(one)
        self._changed[key] = time.time()
        self._unread[key] = None
        self._start()

    def look(self, cursor: str | None, batch: ChangeBatch, began: Moment) -> None:
        """Note that somebody has looked at the changes of the store.

        Args:
            cursor: The cursor that was given.
            batch: The answer.
            began: The beginning of the look.
        """
        now = time.monotonic()
        self._looked_at = max(self._looked_at, began.steady)
        self._others_looked_at = began.steady
        self._current.look(cursor, batch, began_at=began.wall, ended=now)
        if now >= self._next_confirmation:
            self._start()

    def distrust(self) -> None:
        """Drop what is not confirmed, because a call of the store failed."""
        if self._feed is not None:
            for key in [k for k, one in self._waiting.items() if one.ended > self._looked_at]:
                self._drop(key)
            self._seen.clear()

    async def aclose(self) -> None:
        """Write what can be written quickly. Closing twice is allowed."""
        self._is_closing.set()
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                if self._task is not None:
                    await asyncio.wait([self._task])
                self._next_look = self._others_looked_at = float("-inf")
                await self._flush()
        except TimeoutError:
            if self._task is not None:
                self._task.cancel()
        await self._threads.close(deadline=time.monotonic() + _LAST_SECONDS)

    def _drop(self, key: RecordKey) -> None:
        found = self._waiting.pop(key, None)
        if found is not None:
            self._bytes -= _size(found.value)

    # --- batches ----------------------------------------------------------------------

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._has_work() and not self._is_closing.is_set():
            with contextlib.suppress(TimeoutError):
                pause = PAUSE_SECONDS * (_FAILING_PAUSES if self._is_failing else 1)
                await asyncio.wait_for(self._is_closing.wait(), pause)
            await self._flush()

    def _has_work(self) -> bool:
        is_due = time.monotonic() >= self._next_confirmation
        return bool(self._waiting or self._changed or (is_due and self._current.keys()))

    async def _flush(self) -> None:
        try:
            await self._read_changed()
            ready = await self._confirmed()
            if ready or self._changed:
                await self._write_all(ready)
            await self._confirm()
        except OSError as error:
            self._fail(error.strerror or str(error))
        except BackendUnavailableError:
            self._fail("the disk does not answer")
        except Exception as error:  # noqa: BLE001 - a third-party store may raise anything
            self._fail(type(error).__name__)

    async def _write_all(self, ready: Mapping[RecordKey, _Waiting]) -> None:
        changed, self._changed = self._changed, {}
        for key in ready:
            self._drop(key)
        try:
            held = await self._write(ready, changed, removes=False)
        except BaseException:
            self._changed = {**changed, **self._changed}
            raise
        if held and await self._has_content():
            await self._write({one.key: ready[one.key] for one in held}, {}, removes=True)
        self._is_failing = False

    async def _confirm(self) -> None:
        """Note on the disk, once in a while, what is still current."""
        now = time.monotonic()
        if now < self._next_confirmation and not self._is_closing.is_set():
            return
        self._next_confirmation = now + CONFIRM_SECONDS
        if keys := self._current.keys():
            call = partial(self._shelf.confirm, keys, self._current.looked_at)
            await self._threads.run(call, deadline=now + _WRITE_SECONDS)

    async def _write(
        self,
        ready: Mapping[RecordKey, _Waiting],
        changed: Mapping[ConfigKey, float],
        *,
        removes: bool,
    ) -> list[Observation]:
        """Write a batch; if another process writes at this moment, keep it for the next time."""
        call = partial(
            self._shelf.write,
            [
                Observation(key=key, value=one.value, at=one.began.wall)
                for key, one in ready.items()
            ],
            changed=changed,
            removes=removes,
        )
        held = await self._threads.run(call, deadline=time.monotonic() + _WRITE_SECONDS)
        if held is None:
            self._changed = {**changed, **self._changed}
            for key, one in ready.items():
                if key not in self._waiting and one.began.steady >= self._changed_at:
                    self._waiting[key] = one
                    self._bytes += _size(one.value)
            return []
        left = {one.key for one in held}
        for key in ready:
            if key not in left and key not in self._waiting:
                self._current.written(key)
        return held

    async def _read_changed(self) -> None:
        """Read again, once, what this process has written."""
        unread, self._unread = self._unread, {}
        for key in unread:
            began = Moment()
            with contextlib.suppress(ConfigError):
                source = await self._backend.fetch(key.application, key.profile, key.label)
                self.note(RecordKey.of_bundle(key), source, began)

    async def _confirmed(self) -> dict[RecordKey, _Waiting]:
        """Return the results after which the store was alive."""
        if self._waiting and self._feed is not None and not self._nothing_waits_for_a_look():
            await self._look_if_due(self._feed)
        if self._feed is None:
            return {**self._waiting}
        return {key: one for key, one in self._waiting.items() if one.ended <= self._looked_at}

    def _nothing_waits_for_a_look(self) -> bool:
        return all(one.ended <= self._looked_at for one in self._waiting.values())

    async def _look_if_due(self, feed: SupportsChanges) -> None:
        now = time.monotonic()
        if now < max(self._next_look, self._others_looked_at + LOOK_SECONDS):
            return
        self._next_look = now + LOOK_SECONDS
        try:
            await feed.changes_since(None)
        except UnsupportedOperationError:
            self._feed = None
        except BackendError:
            self.distrust()
        else:
            self._looked_at = max(self._looked_at, now)

    async def _has_content(self) -> bool:
        """False if the store is empty as a whole, as the directory of an unmounted volume is."""
        labels = ability(self._backend, SupportsLabels)
        try:
            return labels is None or bool(await labels.labels())
        except BackendError:
            return False

    def _fail(self, reason: str) -> None:
        self._seen.clear()
        if not self._is_failing:
            self._is_failing = True
            _LOG.error(
                "the standby cannot be written, serving goes on without it: %s: %s",
                self._shelf.path,
                reason,
            )


def _size(value: Kept) -> int:
    """Return about how many bytes of memory a result keeps."""
    if isinstance(value, ConfigResource):
        return len(value.content)
    if isinstance(value, ConfigSource):
        return value.size
    if isinstance(value, ConfigSnapshot):
        return sum(one.size for one in value.sources if one is not None)
    return 0
