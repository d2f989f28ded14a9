"""Which objects exist: listings of what begins alike, remembered for a moment."""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

_REMEMBERED: Final = 4096
_JITTER: Final = 0.2

_Names: TypeAlias = frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    names: _Names
    fresh_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    began: float
    task: asyncio.Task[_Names]

    def is_of_use(self, now: float, max_staleness: float) -> bool:
        """Tell whether its answer will be young enough for who asks now, in this event loop."""
        running = asyncio.get_running_loop()
        return self.task.get_loop() is running and now - self.began < max_staleness


class Looks:
    """Remembers what a listing told, and asks once when several want to know the same.

    Args:
        ask: Lists the names that begin with a text.
        max_staleness: For so many seconds a listing is taken for true; a little less, by
            chance, so that many processes do not ask all at once.
    """

    def __init__(self, ask: Callable[[str], Awaitable[_Names]], *, max_staleness: float) -> None:
        self._ask = ask
        self._max_staleness = max_staleness
        self._known: OrderedDict[str, _Look] = OrderedDict()
        self._asking: dict[str, _Asking] = {}

    def last(self, begin: str) -> _Names:
        """Return what was known last, however old it is; empty when nothing is."""
        known = self._known.get(begin)
        return frozenset() if known is None else known.names

    async def names(self, begin: str) -> _Names:
        """Return the names that begin with a text, as they were at most `max_staleness` ago."""
        now = time.monotonic()
        known = self._known.get(begin)
        if known is not None and now < known.fresh_until:
            self._known.move_to_end(begin)
            return known.names
        asking = self._asking.get(begin)
        if asking is None or not asking.is_of_use(now, self._max_staleness):
            task = asyncio.ensure_future(self._look(begin, now))
            asking = self._asking[begin] = _Asking(began=now, task=task)
            task.add_done_callback(lambda done: self._asked(begin, done))
        return await asyncio.shield(asking.task)  # others may wait for it too

    def forget(self, begin: str) -> None:
        """Ask anew: something that begins so was written by this process."""
        self._asking.pop(begin, None)
        if (known := self._known.get(begin)) is not None:
            self._known[begin] = replace(known, fresh_until=0.0)

    async def _look(self, begin: str, began: float) -> _Names:
        names = await self._ask(begin)
        if self._is_asking(begin, asyncio.current_task()):  # nothing was written meanwhile
            lasting = self._max_staleness * (1 - _JITTER * random.random())  # noqa: S311
            self._known[begin] = _Look(names=names, fresh_until=began + lasting)
            self._known.move_to_end(begin)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return names

    def _asked(self, begin: str, task: asyncio.Task[_Names]) -> None:
        if self._is_asking(begin, task):
            del self._asking[begin]
        if not task.cancelled():
            task.exception()  # whoever asked was told; nobody may be left

    def _is_asking(self, begin: str, task: asyncio.Task[_Names] | None) -> bool:
        asking = self._asking.get(begin)
        return asking is not None and asking.task is task
