"""Handling SIGTERM, SIGINT and SIGHUP in the command `serve`."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

from pyfly.config_cli._serving.limits import KILL_SECONDS

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


def on_stop(stop: Callable[[], object]) -> None:
    """Call `stop` at the first SIGTERM or SIGINT, in the main thread; it must return at once.

    The process ends after `KILL_SECONDS`, or with a second signal, even if `stop` does not end it.
    The exit code is 0 in all cases.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        nonlocal asked
        if asked:
            os._exit(0)
        asked = True
        end_after(KILL_SECONDS)
        stop()

    for number in _STOPPING:
        signal.signal(number, handle)


def end_after(seconds: float) -> None:
    """End this process after a time, if it is still there then."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()


def on_hangup(reload: Callable[[], object], stop: Callable[[], object]) -> None:
    """Call `reload` at SIGHUP, or `stop` when the terminal of the command was closed."""
    if sys.platform == "win32":
        return
    had_terminal = _is_terminal()

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        if had_terminal and not _is_terminal():
            stop()
        else:
            reload()

    signal.signal(signal.SIGHUP, handle)


def _is_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False
