"""Fetches in a thread of its own: again and again, and when somebody asks for it."""

import logging
import random
import threading
import time
from typing import Final

from pyfly.config_core import BackendUnavailableError, ConfigError
from pyfly.config_git._mirror import Mirror, Snapshot

_LOG: Final = logging.getLogger(__name__)

_JITTER: Final = 0.1
_RETRY_SECONDS: Final = 10.0
"""The longest pause after a fetch that failed."""
_RECENT: Final = 0.5
"""The fetch of another process counts, if it is younger than this part of the interval."""
_FIRST_SECONDS: Final = 5.0
"""How long reads wait for the first fetch of a process, if there is a state from before."""
_POLL_SECONDS: Final = 0.05
_SHORTEST_SECONDS: Final = 0.2
"""From the start of a fetch to that of the next one: who asks in between shares it."""
_MARGIN_SECONDS: Final = 1.0
"""Reads give up so long before their deadline, so that they can say what they waited for."""


class Refresher:
    """Keeps a clone up to date. Safe for use from several threads.

    Args:
        mirror: The clone.
        interval: Seconds between two fetches; a tenth more or less by chance.
    """

    def __init__(self, mirror: Mirror, *, interval: float) -> None:
        self._mirror = mirror
        self._interval = interval
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._tried = threading.Event()
        self._asked_at: float | None = None
        self._ended = threading.Event()
        self._error: BackendUnavailableError | None = None
        self._failed_at = 0.0
        self._give_up_at = 0.0

    @property
    def is_first_under_way(self) -> bool:
        """True until the first fetch of this process has ended."""
        return not self._tried.is_set()

    def current(self, *, deadline: float) -> Snapshot:
        """Return the last known state. Only the first fetch of this process is waited for.

        Args:
            deadline: A time of the monotonic clock.

        Raises:
            BackendUnavailableError: There is no state yet.
        """
        if not self._tried.is_set():
            self._start()
            self._wait(deadline)
        snapshot = self._mirror.snapshot()
        if snapshot is not None:
            return snapshot
        if self._error is not None:
            raise BackendUnavailableError(str(self._error))
        raise BackendUnavailableError(
            f"{self._mirror.location.address} is being fetched for the first time"
        )

    def error(self, snapshot: Snapshot) -> BackendUnavailableError | None:
        """Return why the state may be old; `None` if the last fetch of any process succeeded."""
        error = self._error
        return None if snapshot.state.fetched_at > self._failed_at else error

    def ask(self) -> None:
        """Fetch soon. Those who ask before that fetch begins share it."""
        self._asked_at = time.time()
        self._start()
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._wake.set()
        self._tried.set()

    def _start(self) -> None:
        with self._guard:
            if self._thread is None and not self._ended.is_set():
                self._give_up_at = time.monotonic() + _FIRST_SECONDS
                self._thread = threading.Thread(
                    target=self._run, name="pyfly-config-git-fetch", daemon=True
                )
                self._thread.start()

    def _wait(self, deadline: float) -> None:
        """Wait for the first fetch, for a short time if there is a state from before."""
        while not self._tried.is_set():
            has_state = self._mirror.snapshot() is not None
            until = min(deadline, self._give_up_at) if has_state else deadline - _MARGIN_SECONDS
            if time.monotonic() >= until:
                return
            self._tried.wait(min(_POLL_SECONDS, max(0.0, until - time.monotonic())))

    def _run(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            asked_at, self._asked_at = self._asked_at, None
            self._wake.clear()
            since = time.time() - self._interval * _RECENT if asked_at is None else asked_at
            if self._error is not None:  # what was fetched before the failure does not count
                since = max(since, self._failed_at)
            pause = self._interval
            if not self._fetch(since):
                pause = min(pause, _RETRY_SECONDS)
            self._tried.set()
            spread = 1 + _JITTER * (2 * random.random() - 1)  # noqa: S311 - spreads processes
            if self._asked_at is None:
                self._wake.wait(pause * spread)
            self._ended.wait(max(0.0, began + _SHORTEST_SECONDS - time.monotonic()))

    def _fetch(self, since: float) -> bool:
        """Fetch; return whether that succeeded."""
        try:
            self._mirror.fetch(since=since)
        except Exception as error:  # noqa: BLE001 - the thread must go on
            if self._ended.is_set():
                return False
            known = error if isinstance(error, BackendUnavailableError) else None
            if self._error is None:
                reason = str(error) if isinstance(error, ConfigError) else type(error).__name__
                _LOG.warning("%s; the last state is used", reason)
            self._failed_at = time.time()
            self._error = known or BackendUnavailableError(
                f"{self._mirror.location.address} cannot be fetched: {type(error).__name__}"
            )
            return False
        if self._error is not None:
            _LOG.warning("%s can be fetched again", self._mirror.location.address)
        self._error = None
        return True
