"""Hints of changes below a directory, from the events of its file system.

Only this module imports `watchfiles`, when the first reader waits for hints.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

from pyfly.config_core import BackendUnavailableError, UnsupportedOperationError
from pyfly.config_server.files.atomic import TEMPORARY_NAME
from pyfly.config_server.stores.hint_reader import HintReader
from pyfly.config_server.stores.watch_period import Markers, Place, WatchPeriod, read_mounts

__all__ = ["DirectoryHints", "can_watch"]

_LOG: Final = logging.getLogger(__name__)

_DEBOUNCE_MILLISECONDS: Final = 100
_STEP_MILLISECONDS: Final = 20
_STEPS: Final = 5
"""Steps of the library between two looks at the root itself. A mount over it causes no event."""
_ROOT_SECONDS: Final = 0.1
"""The pause before the next look for a missing root."""
_RETRY_SECONDS: Final = 10.0
"""The pause after an error of the library, such as the limit of watches."""
_CLOSE_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.01
_REPOSITORY: Final = ".git"
"""No file in it is ever served."""


def can_watch() -> bool:
    """True if `watchfiles` is installed."""
    return find_spec("watchfiles") is not None


class DirectoryHints:
    """The hints for all readers of one directory. Safe for use from several event loops.

    While there are readers, a thread watches the directory. It waits for a missing root, follows a
    root that is replaced, and goes on after errors.

    Args:
        root: The root directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._readers: set[HintReader] = set()
        self._watches: list[_Watch] = []
        self._guard = threading.Lock()
        self._closed = False
        self._period: WatchPeriod | None = None

    def take_reported(self) -> frozenset[str] | None:
        """Return the paths below the root where anything may have changed since the previous call.

        Blocks until all events of the time before this call have arrived, a quarter of a second at
        most. Not for several threads at a time.

        Returns:
            `None` if it is not known what has changed: nothing watches the root, it was not
            watched all the time, events are late, or its file system is not known to report
            everything.
        """
        with self._guard:
            periods = [watch.period for watch in self._watches if watch.is_alive()]
        before, self._period = self._period, periods[-1] if periods else None
        if self._period is None or not self._period.is_in_place(self._root):
            return None
        reported = self._period.take()
        return reported if before is self._period else None

    async def read(self) -> AsyncGenerator[None]:
        """Yield once the directory is watched, and after every change, until the store is closed.

        Raises:
            BackendUnavailableError: The store is closed.
            UnsupportedOperationError: `watchfiles` is not installed.
        """
        reader = self._enter()
        try:
            while True:
                await reader.told()
                if self._closed:
                    return
                yield
        finally:
            self._leave(reader)

    async def aclose(self) -> None:
        """End all iterators of `read`, and the watch."""
        with self._guard:
            self._closed = True
            self._stop()
        self._tell()
        deadline = time.monotonic() + _CLOSE_SECONDS
        while self._is_watching() and time.monotonic() < deadline:  # noqa: ASYNC110 - threads
            await asyncio.sleep(_POLL_SECONDS)

    def _is_watching(self) -> bool:
        return any(watch.is_alive() for watch in self._watches)

    def _enter(self) -> HintReader:
        with self._guard:
            if self._closed:
                raise BackendUnavailableError("the backend is closed")
            if not can_watch():
                raise UnsupportedOperationError("a store without watchfiles", "hints of changes")
            reader = HintReader()
            if not self._readers:
                self._start()
            self._readers.add(reader)
            return reader

    def _leave(self, reader: HintReader) -> None:
        with self._guard:
            self._readers.discard(reader)
            if not self._readers:
                self._stop()

    def _start(self) -> None:
        watch = _Watch(self._root, self._tell)
        try:
            watch.start()
        except RuntimeError as error:  # the system cannot start a thread
            _log_silence(self._root, error)
        else:
            self._watches = [*filter(_Watch.is_alive, self._watches), watch]

    def _stop(self) -> None:
        for watch in self._watches:
            watch.stop()

    def _tell(self) -> None:
        with self._guard:
            readers = [*self._readers]
        for reader in readers:
            reader.tell()


class _Watch(threading.Thread):
    """Watches a directory and all directories below it.

    Each directory is watched by itself and links are not followed, so that a link to a large tree
    costs nothing. The target of every link that the store follows is below the root as well.

    Args:
        root: The root directory.
        tell: Is called after every change.
    """

    def __init__(self, root: Path, tell: Callable[[], None]) -> None:
        # A daemon, so that a stuck file system does not keep the process from ending.
        super().__init__(name="pyfly-config-hints", daemon=True)
        self._root = root
        self._tell = tell
        self._stopped = threading.Event()
        self._is_silent = False
        self._markers = Markers()
        self.period: WatchPeriod | None = None
        """The last period in which all directories were watched."""

    def stop(self) -> None:
        """End the watch soon."""
        self._stopped.set()

    def run(self) -> None:
        """Watch until `stop` is called."""
        with self._markers:
            self._run()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._watch(Place.of(self._root))
            except (ImportError, OSError, RuntimeError, ValueError) as error:
                self._pause(error)

    def _watch(self, place: Place) -> None:
        """Watch until the root or the set of its directories changes."""
        mounts = read_mounts()
        directories = {*_directories(place.path)}
        period = WatchPeriod(place, mounts, self._markers)
        ending = _Ending(partial(self._begin, period), partial(self._has_ended, period))
        watched = {*directories, *self._markers.directories}
        try:
            with contextlib.closing(_events(watched, ending)) as events:
                for paths in events:
                    changed = {*filter(_is_of_store, self._markers.others(paths))}
                    if any(path in directories or Path(path).is_dir() for path in changed):
                        period.end()
                    period.add(changed)
                    self._markers.note(paths)
                    if changed:
                        self._tell()
                    if period.has_ended:
                        return
        finally:
            period.end()
        self._tell()

    def _begin(self, period: WatchPeriod) -> None:
        """Note that the watch has begun. What changed before has no event."""
        self._is_silent = False
        self.period = period
        self._tell()

    def _has_ended(self, period: WatchPeriod) -> bool:
        return self._stopped.is_set() or period.has_ended or not period.is_in_place(self._root)

    def _pause(self, error: Exception) -> None:
        """Wait before the next try. Log the first error of several, and tell of it."""
        is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        was_replaced = is_missing and self._root.is_dir()  # while its directories were listed
        if not self._is_silent and not was_replaced:
            self._is_silent = True
            _log_silence(self._root, error)
            self._tell()
        self._stopped.wait(_ROOT_SECONDS if is_missing else _RETRY_SECONDS)


class _Ending:
    """Tells the library when to stop. It asks every `_STEP_MILLISECONDS` from the begin on.

    Args:
        begin: Called once, when the directories are watched.
        has_ended: True to stop; called every `_STEPS` steps.
    """

    def __init__(self, begin: Callable[[], None], has_ended: Callable[[], bool]) -> None:
        self._begin = begin
        self._has_ended = has_ended
        self._numbers = count()

    def is_set(self) -> bool:
        """True if the library is to stop."""
        number = next(self._numbers)
        if number == 0:
            self._begin()
        return number % _STEPS == 0 and self._has_ended()


def _events(directories: Collection[str], ending: _Ending) -> Generator[set[str]]:
    """Yield sets of changed paths until `ending` is set."""
    from watchfiles import watch  # noqa: PLC0415 - an optional library

    for changes in watch(
        *directories,
        watch_filter=None,
        debounce=_DEBOUNCE_MILLISECONDS,
        step=_STEP_MILLISECONDS,
        stop_event=ending,
        rust_timeout=0,  # a timeout can drop an event that comes with it
        raise_interrupt=False,
        force_polling=False,  # the passes of the store look at files more cheaply
        recursive=False,
        ignore_permission_denied=False,  # true ignores all errors, such as the limit of watches
    ):
        yield {path for _, path in changes}


def _directories(root: str) -> Iterator[str]:
    for path, names, _ in os.walk(root):
        yield path
        names[:] = [name for name in names if name != _REPOSITORY and _is_text(name)]


def _is_of_store(path: str) -> bool:
    """False for the temporary file of a save, which nobody reads before it has another name."""
    return not path.endswith(f"/{TEMPORARY_NAME}")


def _is_text(name: str) -> bool:
    """False for a name that is not in UTF-8. No request can have it."""
    return name == name.encode(errors="ignore").decode()


def _log_silence(root: Path, error: Exception) -> None:
    _LOG.warning(
        "no hints of changes below %s; they are found by polling: %s", os.fspath(root), error
    )
