"""The ends of waits, with one timer for all of them."""

import asyncio
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, TypeAlias

__all__ = ["Deadlines", "Waiter"]

Waiter: TypeAlias = "asyncio.Future[None]"

_SPARE: Final = 1_000


class Deadlines:
    """Ends waits when their time is over.

    A timer for each would be made and cancelled with each wait, and most waits end before their
    time. Here such a wait is forgotten later, together with others.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Waiter]] = []
        self._numbers = count()
        self._largest = _SPARE
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def add(self, waiter: Waiter, seconds: float) -> None:
        """End a wait after this time."""
        loop = waiter.get_loop()
        at = loop.time() + seconds
        if len(self._due) >= self._largest:
            self._due = [one for one in self._due if not one[2].done()]
            heapify(self._due)
            self._largest = 2 * len(self._due) + _SPARE
        heappush(self._due, (at, next(self._numbers), waiter))
        if self._due[0][2] is waiter:
            self._set_timer(loop, at, seconds)

    def clear(self) -> None:
        """Forget all waits; nobody waits any more."""
        self._due.clear()
        self._largest = _SPARE
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop, at: float, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._end, loop, at)

    def _end(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        """End what is due at `at`, or was due before now."""
        self._timer = None
        now = loop.time()
        while self._due and (self._due[0][0] <= max(at, now) or self._due[0][2].done()):
            waiter = heappop(self._due)[2]
            if not waiter.done():
                waiter.set_result(None)
        if self._due:
            self._set_timer(loop, self._due[0][0], max(0.0, self._due[0][0] - now))
