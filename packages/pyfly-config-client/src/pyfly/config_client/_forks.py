"""What a forked process does first, in order: it forgets, and only then starts anything.

The system calls the functions of `os.register_at_fork` in the order of registration, which is the
order of imports. A thread that one of them starts could use what a later one forgets, such as a
connection of the parent process.
"""

import contextlib
import os
from collections.abc import Callable
from typing import Final

_forgetting: Final[list[Callable[[], object]]] = []
_starting: Final[list[Callable[[], object]]] = []


def forget_after_fork(function: Callable[[], object]) -> None:
    """Call a function in forked processes that forgets locks and connections of the parent."""
    _forgetting.append(function)


def start_after_fork(function: Callable[[], object]) -> None:
    """Call a function in forked processes, after everything was forgotten."""
    _starting.append(function)


def _begin() -> None:
    with contextlib.ExitStack() as stack:  # calls all, also if one of them raises
        for function in reversed((*_forgetting, *_starting)):
            stack.callback(function)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin)
