"""One writer at a time for each label, so that a stuck label does not delay others."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

from pyfly.config_core import BackendUnavailableError

__all__ = ["Turns"]


class Turns:
    """Locks for the writers of each label, in each event loop."""

    def __init__(self) -> None:
        self._locks: dict[tuple[asyncio.AbstractEventLoop, str], tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def of(self, label: str, *, deadline: float) -> AsyncGenerator[None]:
        """Hold the lock of a label.

        Args:
            label: The label.
            deadline: A time of the monotonic clock.

        Raises:
            BackendUnavailableError: Earlier writers did not finish; nothing was written.
        """
        place = (asyncio.get_running_loop(), label)
        lock, users = self._locks.get(place, (asyncio.Lock(), 0))
        self._locks[place] = (lock, users + 1)
        try:
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await lock.acquire()
            except TimeoutError:
                raise BackendUnavailableError(
                    f"other writers of '{label}' do not finish; nothing was written"
                ) from None
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, users = self._locks.pop(place)
            if users > 1:
                self._locks[place] = (lock, users - 1)
