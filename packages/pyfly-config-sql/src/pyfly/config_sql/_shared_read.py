"""One read for all who wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_Result = TypeVar("_Result")


class SharedRead(Generic[_Result]):
    """Runs a read once for all calls that came before it began.

    Reads follow one another: calls during a read share the next one. So each call gets what was
    stored when it was made, or later, and a thousand writers at once need two reads.

    Args:
        read: The read.
    """

    def __init__(self, read: Callable[[], Awaitable[_Result]]) -> None:
        self._read = read
        self._running: asyncio.Task[_Result] | None = None
        self._next: asyncio.Task[_Result] | None = None

    async def run(self) -> _Result:
        """Return the result of a read that begins after this call, or raise its error."""
        if self._next is None or self._next.done():  # done: cancelled before it began
            self._next = asyncio.create_task(self._run_after(self._running))
            self._next.add_done_callback(_note)
        return await asyncio.shield(self._next)  # others wait for it, too

    async def _run_after(self, earlier: "asyncio.Task[_Result] | None") -> _Result:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._running, self._next = self._next, None
        return await self._read()


def _note(done: "asyncio.Task[_Result]") -> None:
    """Take note of an error, also if all callers were cancelled meanwhile."""
    if not done.cancelled():
        done.exception()
