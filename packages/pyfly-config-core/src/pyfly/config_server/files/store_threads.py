"""The threads of a text store for reads, listings and writes, with deadlines."""

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from pyfly.config_core import BackendUnavailableError
from pyfly.config_server.files import settling
from pyfly.config_server.files.batches import ReadBatches
from pyfly.config_server.files.file_tree import UnsettledFileError
from pyfly.config_server.files.threads import Threads
from pyfly.config_server.files.turns import Turns

__all__ = ["StoreLimits", "StoreThreads", "WithDeadline"]

_Result = TypeVar("_Result")
_Result_co = TypeVar("_Result_co", covariant=True)


class WithDeadline(Protocol[_Result_co]):
    """A blocking function that takes a deadline of the monotonic clock."""

    def __call__(self, *, deadline: float) -> _Result_co:
        """Return a result, or raise shortly after the deadline."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """Time limits of a text store in seconds, and its number of threads."""

    read: float = 10.0
    """A read, including the wait for a thread and parsing."""
    listing: float = 60.0
    """One step of a listing, or a scan of all files."""
    wait: float = 10.0
    """The wait of a write for other writers."""
    write: float = 10.0
    """A write after the wait. If it takes longer, its outcome is unknown."""
    readers: int = 16
    writers: int = 16


class StoreThreads:
    """Runs the blocking calls of one store.

    Args:
        limits: Time limits and number of threads.
        name: The prefix of the names of the threads.
        reads_together: True if the reads of one turn of the event loop share a call of a thread,
            because the calls cost more than the reads.
    """

    def __init__(self, limits: StoreLimits, *, name: str, reads_together: bool) -> None:
        self.limits = limits
        self._readers = Threads(limits.readers, name=f"{name}-read")
        self._writers = Threads(limits.writers, name=f"{name}-save")
        self.batches = ReadBatches(self._readers, seconds=limits.read)
        self._reads_together = reads_together
        self._turns = Turns()
        self._writes: set[asyncio.Future[Any]] = set()
        self._closed = False

    async def read(self, function: WithDeadline[_Result]) -> _Result:
        """Return the result of a read.

        Raises:
            BackendUnavailableError: The read did not end in time, or the store is closed.
        """
        self._check_open()
        deadline = time.monotonic() + self.limits.read
        call = partial(function, deadline=deadline)
        if self._reads_together:
            return await self.batches.run(call)
        return await self._readers.run(call, deadline=deadline)

    async def read_settled(self, function: WithDeadline[_Result]) -> _Result:
        """Repeat a read while a file is being written, without occupying a thread."""
        deadline = time.monotonic() + settling.SETTLED_SECONDS
        while True:
            began = time.monotonic()
            try:
                return await self.read(function)
            except UnsettledFileError as error:
                if began > deadline:
                    raise
                await asyncio.sleep(error.seconds)

    async def list(self, function: WithDeadline[_Result]) -> _Result:
        """Return the result of one step of a listing."""
        self._check_open()
        deadline = time.monotonic() + self.limits.listing
        return await self._readers.run(partial(function, deadline=deadline), deadline=deadline)

    async def write(self, turn: str, function: WithDeadline[_Result]) -> _Result:
        """Return the result of a write, which runs after earlier writes with the same lock.

        A started write continues if its caller is cancelled.
        """
        self._check_open()
        running = asyncio.ensure_future(self._write_in_turn(turn, function))
        self._writes.add(running)
        running.add_done_callback(self._written)
        return await asyncio.shield(running)

    def _written(self, write: asyncio.Future[Any]) -> None:
        self._writes.discard(write)
        if not write.cancelled():
            write.exception()  # the caller has it, or was cancelled

    async def _write_in_turn(self, turn: str, function: WithDeadline[_Result]) -> _Result:
        deadline = time.monotonic() + self.limits.wait
        async with self._turns.of(turn, deadline=deadline):
            call = partial(function, deadline=deadline)
            return await self._writers.run(call, deadline=deadline + self.limits.write)

    async def close(self) -> None:
        """Wait for running writes, and refuse further calls."""
        self._closed = True
        seconds = self.limits.wait + self.limits.write
        await self._writers.close(deadline=time.monotonic() + seconds)
        await self._readers.close(deadline=time.monotonic())

    def _check_open(self) -> None:
        if self._closed:
            raise BackendUnavailableError("the backend is closed")
