"""A limited number of threads for blocking calls with deadlines.

A thread cannot be stopped. If a call does not end before its deadline, the caller gets an error,
and another thread replaces the stuck thread, up to a limit. The threads are daemons, so that a
stuck thread does not keep the process from ending.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pyfly.config_core import BackendUnavailableError

__all__ = ["Threads"]

_Result = TypeVar("_Result")

_STUCK_TIMES: Final = 3
"""The limit of stuck threads, as a multiple of the number of threads."""
_POLL_SECONDS: Final = 0.01


@dataclass(eq=False, slots=True, kw_only=True)
class _Call:
    function: Callable[[], Any] = field(repr=False)
    future: asyncio.Future[Any]
    began: bool = False
    given_up: bool = False


class Threads:
    """Runs functions in threads.

    Args:
        count: The number of threads that work at the same time.
        name: The prefix of their names.
    """

    def __init__(self, count: int, *, name: str) -> None:
        self._count = count
        self._name = name
        self._waiting: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._alive = self._idle = self._stuck = 0
        self._closed = False

    async def run(self, function: Callable[[], _Result], *, deadline: float) -> _Result:
        """Return the result of the function, or raise its error.

        Args:
            function: The function. It should check the deadline between its steps.
            deadline: A time of the monotonic clock, which includes the wait for a thread.

        Raises:
            BackendUnavailableError: The function did not end before the deadline, no thread can
                be started, or the threads are closed.
        """
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        call = _Call(function=function, future=future)
        self._submit(call)
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await future
        except TimeoutError:
            raise BackendUnavailableError("the store did not answer in time") from None
        finally:
            if not future.done() or future.cancelled():
                self._give_up(call)

    async def close(self, *, deadline: float) -> None:
        """End the threads; wait until the deadline for threads that are not stuck."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        while self._alive > self._stuck and time.monotonic() < deadline:  # noqa: ASYNC110 - threads
            await asyncio.sleep(_POLL_SECONDS)

    def _submit(self, call: _Call) -> None:
        with self._changed:
            if self._closed:
                raise BackendUnavailableError("the backend is closed")
            self._waiting.append(call)
            try:
                self._start_one()
            except RuntimeError:  # the system cannot start a thread
                if self._alive == self._stuck:
                    self._waiting.remove(call)
                    raise BackendUnavailableError("no thread can be started") from None
            self._changed.notify()

    def _start_one(self) -> None:
        working = self._alive - self._stuck
        limit = self._count * (1 + _STUCK_TIMES)
        if len(self._waiting) > self._idle and working < self._count and self._alive < limit:
            name = f"{self._name}-{self._alive + 1}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
            self._alive += 1

    def _give_up(self, call: _Call) -> None:
        with self._changed:
            call.given_up = True
            if call.began:
                self._stuck += 1
                with contextlib.suppress(RuntimeError):  # the remaining threads go on
                    self._start_one()
            elif call in self._waiting:
                self._waiting.remove(call)

    def _work(self) -> None:
        while (call := self._next()) is not None:
            self._make(call)
            del call  # while it waits, a thread keeps neither the last result nor its event loop

    def _make(self, call: _Call) -> None:
        result, error = _outcome(call.function)
        with self._changed:
            call.began = False  # it can no longer get stuck
            self._stuck -= call.given_up
        with contextlib.suppress(RuntimeError):  # its event loop is closed
            call.future.get_loop().call_soon_threadsafe(_settle, call.future, result, error)

    def _next(self) -> _Call | None:
        with self._changed:
            while not self._waiting and not self._closed:
                if self._alive - self._stuck > self._count:
                    break
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            if not self._waiting or self._alive - self._stuck > self._count:
                self._alive -= 1
                return None
            call = self._waiting.popleft()
            call.began = True
            return call


def _outcome(function: Callable[[], _Result]) -> tuple[_Result | None, Exception | None]:
    try:
        return function(), None
    except Exception as error:  # noqa: BLE001 - raised where the function was asked for
        return None, error


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():  # the caller was cancelled
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
