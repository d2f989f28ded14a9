"""Counters of several processes in files: one file for each worker slot of a supervisor.

A worker publishes its counters every second, and its successor in the slot continues from them. So
what a scrape reads never goes back, whichever process answers it and whichever has been killed.
POSIX only.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Final

from pyfly.config_server.live.counter_encoding import decode_counters, encode_counters
from pyfly.config_server.live.counters import Counters, total

__all__ = ["PUBLISH_SECONDS", "published_counters", "read_slots"]

_LOG: Final = logging.getLogger(__name__)

PUBLISH_SECONDS: Final = 1.0
_SUFFIX: Final = ".counters"


@contextlib.contextmanager
def published_counters(
    directory: Path, slot: int, *, restarted: bool = False
) -> Generator[Counters]:
    """Yield the counters of this process, which continue those of its predecessor in the slot.

    A thread publishes them at once, every `PUBLISH_SECONDS`, and at the end.

    Args:
        directory: A private directory; all slots are in it.
        slot: The number of the slot. One process at a time may use it.
        restarted: True if the predecessor ended by itself.

    Raises:
        OSError: The directory cannot be written.
    """
    file = _SlotFile(directory / f"{slot}{_SUFFIX}")
    counters = file.restore()
    counters.restarts += restarted
    file.publish(counters)
    ending = threading.Event()
    publisher = threading.Thread(target=_publish_until, args=(ending, file, counters), daemon=True)
    publisher.start()
    try:
        yield counters
    finally:
        ending.set()
        publisher.join()
        counters.forget_gauges()
        file.try_to_publish(counters)


def read_slots(directory: Path) -> Counters:
    """Return the sum of all slots. What describes the present counts for running processes only."""
    found = (_read(path) for path in sorted(directory.glob(f"*{_SUFFIX}")))
    return total(one for one in found if one is not None)


class _SlotFile:
    """The file of one slot: the number of the process in the first line, then its counters."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new = path.with_suffix(".new")
        self._failed = False

    def restore(self) -> Counters:
        """Return the counters with which a new process begins."""
        counters = _read(self._path)
        if counters is None:
            return Counters()
        counters.forget_gauges()
        counters.processes = 1
        return counters

    def publish(self, counters: Counters) -> None:
        """Replace the file. Readers see the old or the new one."""
        self._new.write_bytes(b"%d\n" % os.getpid() + encode_counters(counters))
        self._new.replace(self._path)

    def try_to_publish(self, counters: Counters) -> None:
        """Replace the file; log the first failure of a series."""
        try:
            self.publish(counters)
        except OSError as error:
            if not self._failed:
                _LOG.warning("metrics of this process are out of date: %s", error)
            self._failed = True
        else:
            self._failed = False


def _publish_until(ending: threading.Event, file: _SlotFile, counters: Counters) -> None:
    while not ending.wait(PUBLISH_SECONDS):
        file.try_to_publish(counters)


def _read(path: Path) -> Counters | None:
    """Return the counters in a file; `None` if there is no file, or one of another release."""
    try:
        process, _, data = path.read_bytes().partition(b"\n")
        counters = decode_counters(data)
        if not _is_running(int(process)):
            counters.forget_gauges()
    except (FileNotFoundError, ValueError):
        return None
    return counters


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
