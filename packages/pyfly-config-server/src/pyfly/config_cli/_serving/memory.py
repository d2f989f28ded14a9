"""Giving memory back to the system."""

import contextlib
import ctypes
import sys
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 262_144


def return_large_blocks() -> None:
    """Let glibc give back each large block when it is free; elsewhere nothing changes.

    By itself glibc raises the size from which it does so with every large block, and keeps what
    a burst of large answers needed for good.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
