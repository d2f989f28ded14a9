"""One reader of the hints of a store, in its event loop."""

import asyncio
import contextlib

__all__ = ["HintReader"]


class HintReader:
    """Waits for hints in the event loop in which it is made. `tell` works from any thread."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def told(self) -> None:
        """Return at the next hint. Several hints may be joined."""
        await self._wake.wait()
        self._wake.clear()

    def tell(self) -> None:
        """Wake the reader."""
        with contextlib.suppress(RuntimeError):  # its event loop is closed
            self._loop.call_soon_threadsafe(self._wake.set)
