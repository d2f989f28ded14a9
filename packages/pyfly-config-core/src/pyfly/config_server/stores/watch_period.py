"""What the file system has reported while a directory was watched without a gap."""

import contextlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, Self

from pyfly.config_server.files.safe_io import opened

__all__ = ["Markers", "Place", "WatchPeriod", "read_mounts"]

_MOUNTS: Final = Path("/proc/self/mountinfo")
_REPORTING: Final = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs", "zfs"})
"""File systems that only this kernel changes, so that it reports every change."""
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_MARKER_PARENTS: Final = ("/dev/shm", "/tmp")  # noqa: S108 - a private directory is made there
_ARRIVAL_SECONDS: Final = 0.25
"""Events that take longer are late."""
_MOST_PATHS: Final = 10_000
_READ_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
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

    def is_at(self, root: Path) -> bool:
        """True if a root leads to this directory, and its path without links still does."""
        try:
            return all(
                (status.st_dev, status.st_ino) == (self.device, self.inode)
                for status in map(os.stat, {os.fspath(root), self.path})
            )
        except OSError:
            return False


def read_mounts() -> str:
    """Return the description of all mounts (`proc_pid_mountinfo(5)`); empty without one."""
    try:
        with opened(os.open(_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)) as descriptor:
            parts = [*iter(partial(os.read, descriptor, _READ_BYTES), b"")]
    except OSError:
        return ""
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _reports_everything(place: Place, mounts: str) -> bool:
    """True if every change below a directory is reported for the directory in which it is.

    The file system must be one that reports every change, and nothing be mounted below: changes of
    a mounted file are reported for the directory from which it comes.
    """
    below = f"{place.path.rstrip('/')}/"
    number = f"{os.major(place.device)}:{os.minor(place.device)}"
    kinds: set[str] = set()
    for line in mounts.splitlines():
        fields, _, kind = line.partition(" - ")
        match fields.split(" "):
            case [_, _, _, _, point, *_] if _unescaped(point).startswith(below):
                return False
            case [_, _, device, *_] if device == number:
                kinds.add(kind.split(" ", 1)[0])
            case _:
                continue
    return bool(kinds) and kinds <= _REPORTING


def _unescaped(point: str) -> str:
    """Return a mount point, in which blanks and the like are octal."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), point)


class Markers:
    """Files in a private directory that is watched together with others.

    The events of all watched directories come in order. When the event of a new marker has come,
    so have the events of everything that happened before. Without a directory for them, no event
    comes. A marker is the one before with another name, which takes one call of the system.
    """

    def __init__(self) -> None:
        self.directories: tuple[str, ...] = ()
        """The private directory; empty if none can be made."""
        self._numbers = count(1)
        self._latest = 0
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        """Make the directory."""
        for parent in _MARKER_PARENTS:
            with contextlib.suppress(OSError):
                self.directories = (tempfile.mkdtemp(prefix="pyfly-config-", dir=parent),)
                break
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the directory."""
        for directory in self.directories:
            shutil.rmtree(directory, ignore_errors=True)

    def others(self, paths: Iterable[str]) -> set[str]:
        """Return the paths that are no markers."""
        return {path for path in paths if not path.startswith(self.directories)}

    def note(self, paths: Iterable[str]) -> None:
        """Note the events of markers, after all other events with and before them."""
        found = [
            int(name)
            for directory, _, name in (path.rpartition("/") for path in paths)
            if directory in self.directories and name.isdecimal()
        ]
        if found:
            with self._changed:
                self._latest = max(self._latest, *found)
                self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """True when the events of everything that happened before this call have come."""
        if not self.directories:
            return False
        number = next(self._numbers)
        marker = Path(self.directories[0], str(number))
        try:
            try:
                marker.with_name(str(number - 1)).rename(marker)
            except FileNotFoundError:  # the first one, or something has tidied up
                marker.touch(mode=0o600)
        except OSError:
            return False
        with self._changed:
            return self._changed.wait_for(lambda: self._latest >= number, seconds)


class WatchPeriod:
    """A time in which all directories below a root are watched.

    Args:
        place: The root.
        mounts: The mounts of the time before its directories were listed.
        markers: Are watched as well.
    """

    def __init__(self, place: Place, mounts: str, markers: Markers) -> None:
        self._place = place
        self._mounts = mounts
        self._markers = markers
        self._is_trusted = _reports_everything(place, mounts)
        self._paths: set[str] = set()
        self._is_complete = True
        self._guard = threading.Lock()
        self.has_ended = False
        """True if there is a gap from now on."""

    def add(self, paths: Collection[str]) -> None:
        """Add the paths of events."""
        start = len(self._place.path.rstrip("/")) + 1
        with self._guard:
            self._paths.update(path[start:] for path in paths)
            if len(self._paths) > _MOST_PATHS:
                self._paths.clear()
                self._is_complete = False

    def take(self) -> frozenset[str] | None:
        """Return the paths below the root of all events since the previous call.

        `None` if there may be changes without an event among them.
        """
        if not self._is_trusted or self.has_ended:
            return None
        if read_mounts() != self._mounts:
            self.end()
        if not self._markers.wait(_ARRIVAL_SECONDS) or self.has_ended:
            return None
        with self._guard:
            found = frozenset(self._paths) if self._is_complete else None
            self._paths.clear()
            self._is_complete = True
        return found

    def end(self) -> None:
        """End the time: the directories are watched no more, or others have to be."""
        self.has_ended = True

    def is_in_place(self, root: Path) -> bool:
        """True if a root still leads to the directory."""
        return self._place.is_at(root)
