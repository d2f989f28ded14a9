"""Requests that wait until a document changes."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from functools import partial
from typing import Any, Final, TypeAlias

from pyfly.config_core import ConfigError
from pyfly.config_server.composition.representation import DocumentRequest
from pyfly.config_server.live.counters import Counters
from pyfly.config_server.live.deadlines import Deadlines, Waiter

__all__ = ["ANY_CHANGE", "AtEnd", "TooManyWatchersError", "Watching"]

ANY_CHANGE: Final = "any change"
"""What a request waits for that wants to know about every change of a store."""

AtEnd: TypeAlias = Callable[[Callable[[], None] | None], None]
"""Takes a function that is called when the client has left, perhaps at once, or `None` in its
place when nobody needs to know any more."""

_RENDERERS: Final = 8
"""Documents that are composed at the same time for waiting requests."""
_WOKEN_TOGETHER: Final = 50
"""Waiting requests that are woken before the event loop does something else."""
_COMPOSED_FIRST_SECONDS: Final = 0.15
"""Nobody is woken in this time while documents of the same change are composed. A client that has
its answer asks again, and the threads that read the other documents would wait for that."""
_SHORTEST: Final = 0.8
"""A wait that nothing ends takes at least this part of its time. A fleet that began together does
not come back together."""


class TooManyWatchersError(ConfigError):
    """This process holds as many requests as it may."""


class Watching:
    """The waiting requests of one process.

    Args:
        refresh: Composes a document again, and calls `changed` if it is another one. Its errors
            are ignored.
        limit: The largest number of waiting requests.
        counters: Counts the waiting requests and those that are refused.
    """

    def __init__(
        self,
        refresh: Callable[[DocumentRequest], Awaitable[object]],
        *,
        limit: int,
        counters: Counters,
    ) -> None:
        self._refresh = refresh
        self._limit = limit
        self._counters = counters
        self._waiters: dict[Hashable, dict[Waiter, bytes]] = {}
        self._deadlines = Deadlines()
        self._due: dict[DocumentRequest, None] = {}
        self._is_due = asyncio.Event()
        self._composing = 0
        self._woken: deque[Waiter] = deque()
        self._may_wake = asyncio.Event()
        self._may_wake.set()
        self._composed_by: asyncio.TimerHandle | None = None
        self._is_waking = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._receivers: set[asyncio.Task[Any]] = set()
        self.is_released = False
        """True if no more requests are held."""
        self.count = 0
        """The number of waiting requests."""

    @property
    def is_full(self) -> bool:
        """True if one more request would be refused."""
        return self.count >= self._limit and not self.is_released

    @property
    def requests(self) -> list[Hashable]:
        """What requests wait for."""
        return [*self._waiters]

    def is_watched(self, request: Hashable) -> bool:
        """True if somebody waits for a change of this document."""
        return request in self._waiters

    def start(self) -> None:
        """Begin to compose changed documents for those who wait."""
        for _ in range(_RENDERERS):
            self._spawn(self._refresh_forever())

    def release(self) -> None:
        """End every wait; later waits end at once."""
        self.is_released = True
        self._wake([one for waiters in self._waiters.values() for one in waiters])

    async def aclose(self) -> None:
        """Release everybody and end the tasks."""
        self.release()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait(
        self,
        request: Hashable,
        entity_tag: bytes,
        *,
        seconds: float,
        gone: Callable[[], Coroutine[Any, Any, None]] | None,
        at_end: AtEnd | None = None,
    ) -> None:
        """Return when the document has another entity tag, or cannot be composed any more.

        It also returns after 0.8 to 1.0 of `seconds`, by chance, when the client has left, and
        when `release` is called.

        Args:
            request: The document, or `ANY_CHANGE`.
            entity_tag: What the client has.
            seconds: The longest time to wait.
            gone: Returns when the client has left. It runs to its end, which is after the response
                if the client stays. `None` if that is never noticed.
            at_end: Tells the same without a task; `gone` is not used then.

        Raises:
            TooManyWatchersError: There are too many waiting requests.
        """
        if self.is_released:
            return
        if self.is_full:
            self._counters.rejected_watchers += 1
            raise TooManyWatchersError(
                f"{self._limit} requests wait for changes already; poll, or come back later"
            )
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(request, {})[waiter] = entity_tag
        self.count += 1
        self._counters.watchers += 1
        longest = seconds * random.uniform(_SHORTEST, 1)  # noqa: S311 - hides nothing
        self._deadlines.add(waiter, longest)
        if at_end is not None:
            at_end(partial(_end, waiter))
        elif gone is not None:
            self._notice_end(gone(), waiter)
        try:
            await waiter
        finally:
            if at_end is not None:
                at_end(None)
            self._remove(request, waiter)

    def changed(self, request: Hashable, entity_tag: bytes | None) -> None:
        """Wake those who have another entity tag than this one; `None` wakes all."""
        waiters = self._waiters.get(request, {})
        woken = [one for one, has in waiters.items() if has != entity_tag]
        is_next = request == ANY_CHANGE or (self._may_wake.is_set() and not self._woken)
        if is_next and len(woken) <= _WOKEN_TOGETHER:
            self._wake(woken)
            return
        self._woken.extend(woken)
        if self._woken and not self._is_waking:
            self._is_waking = True
            self._spawn(self._wake_slowly())

    def want(self, requests: Iterable[DocumentRequest]) -> None:
        """Compose those documents again that somebody waits for."""
        due = [request for request in requests if request in self._waiters]
        if not due:
            return
        if len(due) > 1 and not (self._due or self._composing or self._woken):
            self._compose_first()
        self._due.update(dict.fromkeys(due))
        self._is_due.set()

    def _remove(self, request: Hashable, waiter: Waiter) -> None:
        self.count -= 1
        self._counters.watchers -= 1
        waiters = self._waiters[request]
        del waiters[waiter]
        if not waiters:
            del self._waiters[request]
        if not self.count:
            self._deadlines.clear()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _notice_end(self, gone: Coroutine[Any, Any, None], waiter: Waiter) -> None:
        """End a wait with its connection. The task ends with the connection, and only so."""

        def end(task: "asyncio.Task[None]") -> None:
            self._receivers.discard(task)
            _end(waiter)
            if not task.cancelled():
                task.exception()  # of a connection that broke while its client waited

        task = asyncio.create_task(gone)
        self._receivers.add(task)
        task.add_done_callback(end)

    def _wake(self, waiters: Iterable[Waiter]) -> None:
        for waiter in waiters:
            _end(waiter)

    def _compose_first(self) -> None:
        """Wake nobody until the documents that are due are composed, or their time is over."""
        self._may_wake.clear()
        loop = asyncio.get_running_loop()
        self._composed_by = loop.call_later(_COMPOSED_FIRST_SECONDS, self._go_on_waking)

    def _go_on_waking(self) -> None:
        if self._composed_by is not None:
            self._composed_by.cancel()
            self._composed_by = None
        self._may_wake.set()

    async def _wake_slowly(self) -> None:
        try:
            while self._woken:
                await self._may_wake.wait()
                few = min(len(self._woken), _WOKEN_TOGETHER)
                self._wake([self._woken.popleft() for _ in range(few)])
                await asyncio.sleep(0)
        finally:
            self._is_waking = False

    async def _refresh_forever(self) -> None:
        while True:
            await self._is_due.wait()
            if not self._due:
                self._is_due.clear()
                continue
            request = next(iter(self._due))
            del self._due[request]
            self._composing += 1
            try:
                await self._refresh(request)
            except Exception:  # noqa: BLE001, S112 - `refresh` logs what has to be known
                continue
            finally:
                self._composing -= 1
                if not self._due and not self._composing:
                    self._go_on_waking()


def _end(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.set_result(None)
