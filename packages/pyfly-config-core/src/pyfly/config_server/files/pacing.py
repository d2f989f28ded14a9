"""Long loops in threads that let an event loop run in between."""

import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

__all__ = ["paced"]

_Item = TypeVar("_Item")

_STEP: Final = 32
"""The number of items between two looks at the clock."""
_WORK_SECONDS: Final = 0.001
_PAUSE_SECONDS: Final = 0.00005
"""A pause of 0 seconds does not hand over the interpreter: the other thread wakes up too late."""


def paced(items: Iterable[_Item]) -> Iterator[_Item]:
    """Yield the items, with a short pause after every millisecond of work.

    Without pauses, other threads wait up to 5 milliseconds whenever they want to run.
    """
    began = time.perf_counter()
    for number, item in enumerate(items):
        yield item
        if number % _STEP == 0 and time.perf_counter() - began > _WORK_SECONDS:
            time.sleep(_PAUSE_SECONDS)
            began = time.perf_counter()
