"""The memory of a process that serves."""

import asyncio
import contextlib
import ctypes
import gc
import sys
import time
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 262_144
_GENERATIONS: Final = (10_000, 2, 50)
"""New objects until the youngest generation is searched, and searches until the next one is."""
_PAUSE_SECONDS: Final = 0.1
_BUSY_SHARE: Final = 0.25
"""A process that uses more of one processor is busy."""
_FEW_PAUSES, _MANY_PAUSES = 10, 50
"""Pauses between two looks at the number of objects aside: in the first quiet moment after work,
and at other times."""
_SPARE_OBJECTS: Final = 100_000


def return_large_blocks() -> None:
    """Make glibc return each large free block. Does nothing with other C libraries.

    By default glibc raises its threshold for this with every large block, and permanently keeps
    the memory of a burst of large responses.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def collect_less_often() -> None:
    """Make Python search less often for objects that only refer to each other.

    A held request is some forty objects, and a change renews thousands of them at once. With the
    default thresholds, most of the time to wake 5,000 clients is spent on such searches. What is
    imported by now is never searched again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GENERATIONS)


async def set_objects_aside() -> None:
    """Keep searches for objects that only refer to each other short, until cancelled.

    Python counts new objects less those that were freed. While a change replaces the answers to
    thousands of requests, it therefore searches seldom, and then hundreds of thousands of objects
    at once, which stops the event loop for a third of a second. So a process that is busy sets
    aside ten times a second what it has made, which costs nothing, and one that is not searches
    that before. What was set aside is freed like everything else when nothing refers to it.

    All of it is searched when there is half as much again, and 100,000 objects more, than after the
    search before: in a quiet moment, or when there is twice that.
    """
    most = _most_aside()
    busy_seconds = _BUSY_SHARE * _PAUSE_SECONDS
    pauses, has_worked = 0, False
    while True:
        before = time.process_time()
        await asyncio.sleep(_PAUSE_SECONDS)
        is_quiet = time.process_time() - before < busy_seconds
        if is_quiet:
            gc.collect(1)
        gc.freeze()
        pauses, has_worked = pauses + 1, has_worked or not is_quiet
        if pauses < (_FEW_PAUSES if is_quiet and has_worked else _MANY_PAUSES):
            continue
        pauses, has_worked = 0, False
        if gc.get_freeze_count() > (most if is_quiet else 2 * most):
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            most = _most_aside()


def _most_aside() -> int:
    """Return the number of objects aside from which on all are searched in a quiet moment."""
    return gc.get_freeze_count() * 3 // 2 + _SPARE_OBJECTS
