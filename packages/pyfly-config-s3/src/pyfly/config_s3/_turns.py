"""Writers of one bundle in this process go one after the other.

A store may check the condition of a write before it writes, not while: then a removal in between
would be undone by the write.
"""

import contextlib
import threading
import time
from collections.abc import Generator

from pyfly.config_core import BackendUnavailableError, ConfigKey


class BundleTurns:
    """Locks by bundles, kept only while they are in use. Safe to use from several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[ConfigKey, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def of(self, key: ConfigKey, *, deadline: float) -> Generator[None]:
        """Wait for the turn of a writer, and hold it.

        Args:
            key: Whose writers are meant.
            deadline: Of the monotonic clock.

        Raises:
            BackendUnavailableError: The writers before did not finish; nothing was written.
        """
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            if not lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise BackendUnavailableError(
                    f"other writers of {key} do not finish; nothing was written"
                )
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._guard:
                lock, users = self._locks.pop(key)
                if users > 1:
                    self._locks[key] = (lock, users - 1)
