"""Running blocking reads in threads, several reads in one call.

Calling a thread costs more than opening a cached file. Therefore the reads of one turn of the
event loop are passed to threads together, a few reads to each thread.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from pyfly.config_server.files.threads import Threads

__all__ = ["ReadBatches"]

_Result = TypeVar("_Result")
_Call = tuple[Callable[[], Any], asyncio.Future[Any]]

_TOGETHER: Final = 8
"""The largest number of reads in one call, which wait for each other if a disk is slow."""


class ReadBatches:
    """Runs functions in threads, for one or several event loops.

    Args:
        threads: The threads.
        seconds: The time limit of one call.
    """

    def __init__(self, threads: Threads, *, seconds: float) -> None:
        self._threads = threads
        self._seconds = seconds
        self._running: set[asyncio.Future[Any]] = set()
        self._waiting: dict[asyncio.AbstractEventLoop, list[_Call]] = {}

    async def run(self, function: Callable[[], _Result]) -> _Result:
        """Return the result of the function, or raise its error.

        Raises:
            BackendUnavailableError: The function did not end in time.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = loop.create_future()
        waiting = self._waiting.setdefault(loop, [])
        waiting.append((function, future))
        if len(waiting) == 1:
            self._forget_closed_loops()
            loop.call_soon(self._hand_over, loop)
        return await future

    def _forget_closed_loops(self) -> None:
        """Drop the waiting reads of closed event loops."""
        for loop in [*self._waiting]:
            if loop.is_closed():
                self._waiting.pop(loop, None)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = self._waiting.pop(loop)
        for start in range(0, len(waiting), _TOGETHER):
            calls = waiting[start : start + _TOGETHER]
            run = partial(_run, [function for function, _ in calls])
            deadline = time.monotonic() + self._seconds
            done = loop.create_task(self._threads.run(run, deadline=deadline))
            self._running.add(done)  # an event loop has only weak references to tasks
            done.add_done_callback(self._running.discard)
            done.add_done_callback(_answering([future for _, future in calls]))


def _run(functions: Sequence[Callable[[], Any]]) -> list[tuple[Any, Exception | None]]:
    results: list[tuple[Any, Exception | None]] = []
    for function in functions:
        try:
            results.append((function(), None))
        except Exception as error:  # noqa: BLE001 - raised where the function was asked for
            results.append((None, error))
    return results


def _answering(
    futures: Sequence[asyncio.Future[Any]],
) -> Callable[[asyncio.Future[list[tuple[Any, Exception | None]]]], None]:
    def answer(done: asyncio.Future[list[tuple[Any, Exception | None]]]) -> None:
        failure = None if done.cancelled() else done.exception()
        results = [] if done.cancelled() or failure is not None else done.result()
        for position, future in enumerate(futures):
            if future.done():  # the caller was cancelled
                continue
            if not results:
                future.set_exception(failure or asyncio.CancelledError())
                continue
            result, error = results[position]
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    return answer
