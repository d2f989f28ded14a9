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
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

from pyfly.config_core import BackendUnavailableError, UnsupportedOperationError
from pyfly.config_server.stores.hint_reader import HintReader

__all__ = ["DirectoryHints", "can_watch"]

_LOG: Final = logging.getLogger(__name__)

_DEBOUNCE_MILLISECONDS: Final = 100
_STEP_MILLISECONDS: Final = 20
_ROOT_SECONDS: Final = 0.1
"""The time between two looks at the root itself. A mount over a directory causes no event."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The directory that a root leads to at a time."""

    path: str
    """Without links."""
    device: int
    inode: int

    @classmethod
    def of(cls, root: Path) -> Self:
        """Return the directory.

        Raises:
            OSError: The root does not exist, or it cannot be reached.
        """
        path = os.path.realpath(root)
        status = os.stat(path)  # noqa: PTH116 - the path is a text for the library
        return cls(path=path, device=status.st_dev, inode=status.st_ino)


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

    def stop(self) -> None:
        """End the watch soon."""
        self._stopped.set()

    def run(self) -> None:
        """Watch until `stop` is called."""
        while not self._stopped.is_set():
            try:
                self._watch(_Place.of(self._root))
            except (ImportError, OSError, RuntimeError, ValueError) as error:
                self._pause(error)

    def _watch(self, place: _Place) -> None:
        """Watch until the root or the set of its directories changes."""
        directories = {*_directories(place.path)}
        with contextlib.closing(_events(directories, self._stopped)) as events:
            for number, paths in enumerate(events):
                # What changed before the watch began has no event.
                if paths or number == 0:
                    self._is_silent = False
                    self._tell()
                if any(path in directories or Path(path).is_dir() for path in paths):
                    return
                if place != _Place.of(self._root):
                    self._tell()
                    return

    def _pause(self, error: Exception) -> None:
        """Wait before the next try. Log the first error of several, and tell of it."""
        is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        was_replaced = is_missing and self._root.is_dir()  # while its directories were listed
        if not self._is_silent and not was_replaced:
            self._is_silent = True
            _log_silence(self._root, error)
            self._tell()
        self._stopped.wait(_ROOT_SECONDS if is_missing else _RETRY_SECONDS)


def _events(directories: Collection[str], stop: threading.Event) -> Generator[set[str]]:
    """Yield sets of changed paths, also empty sets, until `stop` is set."""
    from watchfiles import watch  # noqa: PLC0415 - an optional library

    for changes in watch(
        *directories,
        watch_filter=None,
        debounce=_DEBOUNCE_MILLISECONDS,
        step=_STEP_MILLISECONDS,
        stop_event=stop,
        rust_timeout=round(1000 * _ROOT_SECONDS),
        yield_on_timeout=True,
        raise_interrupt=False,
        force_polling=False,  # the passes of the store look at files more cheaply
        recursive=False,
        ignore_permission_denied=True,
    ):
        yield {path for _, path in changes}


def _directories(root: str) -> Iterator[str]:
    for path, names, _ in os.walk(root):
        yield path
        names[:] = [name for name in names if name != _REPOSITORY and _is_text(name)]


def _is_text(name: str) -> bool:
    """False for a name that is not in UTF-8. No request can have it."""
    return name == name.encode(errors="ignore").decode()


def _log_silence(root: Path, error: Exception) -> None:
    _LOG.warning(
        "no hints of changes below %s; they are found by polling: %s", os.fspath(root), error
    )
