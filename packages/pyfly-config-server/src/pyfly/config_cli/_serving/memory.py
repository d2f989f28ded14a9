"""Returning memory to the system."""

import contextlib
import ctypes
import sys
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 262_144


def return_large_blocks() -> None:
    """Make glibc return each large free block. Does nothing with other C libraries.

    By default glibc raises its threshold for this with every large block, and permanently keeps
    the memory of a burst of large responses.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
