"""Answers to many held requests first, then the next requests of their clients."""

import asyncio
from collections import deque
from typing import Final

from pyfly.config_cli._serving.transport import ClosableTransport

__all__ = ["PostponedReads"]

_FEW: Final = 100
"""After so many answers close to each other, reading is postponed."""
_TOGETHER: Final = 50
"""Connections that are read again before the event loop does something else."""
_QUIET_SECONDS: Final = 0.01
"""Without an answer in this time, all held requests of a change have been answered."""
_LONGEST_SECONDS: Final = 0.5
"""A connection is read again after this time at the latest."""


class PostponedReads:
    """Connections that are not read for a moment, because their held requests were just answered.

    Each of thousands of clients asks again as soon as it has its answer. The last one would get
    its answer only after nearly all of these requests.
    """

    def __init__(self) -> None:
        self._postponed: deque[tuple[float, ClosableTransport]] = deque()
        self._answers = 0
        self._answers_before = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._postponed)

    def add(self, transport: ClosableTransport) -> None:
        """Note the answer to a held request, and stop reading if there are many at this time."""
        self._answers += 1
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(_QUIET_SECONDS, self._go_on, loop)
        if self._answers > _FEW:
            transport.postpone_reading(postponed=True)
            self._postponed.append((loop.time(), transport))

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read some again: those that have waited too long, or all after the last answer."""
        is_quiet = self._answers == self._answers_before
        self._answers_before = self._answers
        due = loop.time() - _LONGEST_SECONDS
        for _ in range(_TOGETHER):
            if not self._postponed or not (is_quiet or self._postponed[0][0] < due):
                break
            self._postponed.popleft()[1].postpone_reading(postponed=False)
        if self._postponed or not is_quiet:
            pause = 0.0 if is_quiet else _QUIET_SECONDS
            self._timer = loop.call_later(pause, self._go_on, loop)
        else:
            self._answers = self._answers_before = 0
            self._timer = None
