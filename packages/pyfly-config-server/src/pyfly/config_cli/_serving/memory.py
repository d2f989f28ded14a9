"""The memory of a process that serves."""

import contextlib
import ctypes
import gc
import sys
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 262_144
_GENERATIONS: Final = (10_000, 2, 50)
"""New objects until the youngest generation is searched, and searches until the next one is."""


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
    default thresholds, most of the time to wake 5,000 clients is spent on such searches, and one
    of them stops the event loop for 0.4 s while 10,000 are held. What is imported by now is never
    searched again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GENERATIONS)
