"""Scanning a tree of directories for added, changed and removed files."""

import hashlib
import logging
import math
import os
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final, TypeAlias

from pyfly.config_core import ConfigError
from pyfly.config_server.files.file_tree import FileChanges
from pyfly.config_server.files.pacing import paced
from pyfly.config_server.files.safe_io import (
    DIRECTORY,
    REGULAR,
    open_at,
    open_inside,
    open_root,
    opened,
)

__all__ = ["YOUNG_NANOSECONDS", "DirectoryScanner", "TakeReported"]

_LOG: Final = logging.getLogger(__name__)

YOUNG_NANOSECONDS: Final = 2_000_000_000
"""On a coarse file system, two writes within this time may leave the same timestamps."""

_READ_BYTES: Final = 1 << 20
_LARGEST: Final = 10 * _READ_BYTES
_MODULUS: Final = 1 << 256

_SHARE: Final = 50
"""With reports of the file system, complete scans take at most this part of the time."""
_CHEAP_SECONDS: Final = 0.002
"""A complete scan that takes less processor time is not worth a wait for reports."""
_DOUBT_SECONDS: Final = 5.0
"""A change that was found is reported in this time, or it never is."""
_REPORTED_FILES: Final = 1_000
"""If more files are reported, a complete scan follows."""

TakeReported: TypeAlias = Callable[[], Collection[str] | None]
"""Returns the paths below the root where anything may have changed since the previous call; `None`
if that is not known. Everything that changed before the call is included."""
_Identity: TypeAlias = tuple[int, int, int, int]
"""Inode, size, time of the last write, time of the last change. The same in every process."""
_State: TypeAlias = tuple[_Identity, str]
"""An identity, and a digest of the content while the file is young (otherwise empty)."""
_Place: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """The result of one scan."""

    files: dict[str, _State] = field(default_factory=dict[str, _State])
    directories: set[str] = field(default_factory=set[str])
    rewritten: set[str] = field(default_factory=set[str])
    """Files with the same identity as before and a different content."""
    young: set[str] = field(default_factory=set[str])
    """Files that are read again in the next scan."""
    unreported: set[str] = field(default_factory=set[str])
    """Links, files with several names and other file systems: a change of them need not be
    reported for the directory in which they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """A file with another state than in the previous scan."""

    path: str
    before: _State | None
    now: _State | None

    @property
    def is_change(self) -> bool:
        """False if only the age of the file differs, so that its content need not."""
        return self.before is None or self.now is None or self.before[0] != self.now[0]


class DirectoryScanner:
    """Compares scans of all files below a root. Ignores hidden files and directories.

    The cursor is a digest of names and identities. A file is young for 2 seconds after a write;
    another write may then leave the same identity. Therefore young files are read in every scan,
    and once more afterwards, and a digest of their content is added.

    Where the file system reports changes, most scans look only at what was reported. A complete
    scan follows from time to time. If it finds a change that was not reported, reports are ignored
    from then on.

    Args:
        root: The root directory.
        reported: What the file system has reported. By default nothing is known.
    """

    def __init__(self, root: Path, *, reported: TakeReported = lambda: None) -> None:
        self._root = root
        self._reported = reported
        self._trusts_reports = True
        self._doubtful: dict[str, float] = {}
        self._complete_seconds = 0.0
        self._complete_at = -math.inf
        self._before: _Scan | None = None
        self._digest = 0
        self._guard = threading.Lock()

    def scan(self) -> FileChanges:
        """Return the cursor, and the changes since the previous scan.

        Raises:
            BackendUnavailableError: The root does not exist.
            OSError: The root cannot be read.
        """
        with self._guard:
            reported = self._take_reported()
            due, self._complete_at = self._complete_at, -math.inf  # if this scan fails
            if reported is not None and time.monotonic() < due:
                found = self._look_at(reported)
                if found is not None:
                    self._complete_at = due
                    return found
            return self._look_at_all(reported)

    def _take_reported(self) -> Collection[str] | None:
        """Return what was reported; `None` if that is not known, or if everything is scanned."""
        before = self._before
        is_useful = before is not None and not before.unreported and self._trusts_reports
        if not is_useful or self._complete_seconds < _CHEAP_SECONDS:
            return None
        reported = self._reported()
        if reported is None:
            self._doubtful.clear()
            return None
        for path in self._doubtful.keys() & reported:
            del self._doubtful[path]
        if min(self._doubtful.values(), default=math.inf) > time.monotonic() - _DOUBT_SECONDS:
            return reported
        self._trusts_reports = False
        _LOG.warning(
            "the file system does not report every change below %s; they are found by polling",
            self._root,
        )
        return None

    def _look_at(self, reported: Collection[str]) -> FileChanges | None:
        """Scan what was reported. `None` if that needs a complete scan."""
        before = self._before
        if before is None or len(reported) > _REPORTED_FILES:
            return None
        now = _Pass(self._root, before.files)
        states = now.look_at({*reported, *before.young})
        if states is None:
            return None
        differences = [
            _Difference(path=path, before=before.files.get(path), now=state)
            for path, state in states.items()
            if before.files.get(path) != state
        ]
        for path, state in states.items():
            if state is None:
                before.files.pop(path, None)
            else:
                before.files[path] = state
        before.young.clear()
        before.young.update(now.scan.young)
        self._digest += _weights(differences)
        return self._changes(differences, now.scan, ())

    def _look_at_all(self, reported: Collection[str] | None) -> FileChanges:
        before = self._before or _Scan()
        began, spent = time.monotonic(), time.thread_time()
        now = _Pass(self._root, before.files).run()
        differences = _differences(before.files, now.files)
        directories = before.directories ^ now.directories
        self._digest += _weights(differences) + _weights_of(directories, now)
        is_first, self._before = self._before is None, now
        self._complete_seconds = time.thread_time() - spent
        self._complete_at = began + _SHARE * self._complete_seconds
        if is_first:
            return FileChanges(cursor=self._cursor)
        changes = self._changes(differences, now, directories)
        if reported is not None:
            self._doubtful |= dict.fromkeys({*changes.paths}.difference(reported), began)
        return changes

    def _changes(
        self, differences: Sequence[_Difference], now: _Scan, directories: Collection[str]
    ) -> FileChanges:
        paths = [one.path for one in differences if one.is_change or one.path in now.rewritten]
        paths += directories  # one with the name of a file breaks the bundles of that file
        return FileChanges(cursor=self._cursor, paths=paths, directories=directories)

    @property
    def _cursor(self) -> str:
        return f"{self._digest % _MODULUS:064x}"


class _Pass:
    """One scan of a root.

    Args:
        root: The root directory.
        before: The states that the pass before saw.
    """

    def __init__(self, root: Path, before: dict[str, _State]) -> None:
        self._root = root
        self._before = before
        self._young_since = time.time_ns() - YOUNG_NANOSECONDS
        self._device: int | None = None
        self.scan: Final = _Scan()

    def run(self) -> _Scan:
        """Return the result of a scan of everything."""
        with opened(open_root(self._root)) as directory:
            self._device = os.fstat(directory).st_dev
            self._walk(directory, "", ())
        return self.scan

    def look_at(self, paths: Collection[str]) -> dict[str, _State | None] | None:
        """Return the states of some files, without hidden ones; of absent ones it is `None`.

        Returns:
            `None` if something else than a file with one name is there, or if it cannot be read.
        """
        shown = sorted(path for path in paths if not f"/{path}".count("/."))
        states: dict[str, _State | None] = dict.fromkeys(shown)
        try:
            with opened(open_root(self._root)) as root:
                self._device = os.fstat(root).st_dev
                for parent, below in groupby(shown, key=lambda path: path.rpartition("/")[0]):
                    directory = open_at(root, self._root, parent) if parent else os.dup(root)
                    if directory is not None:
                        with opened(directory):
                            self._look_at_files(directory, below)
        except (ConfigError, OSError):
            return None
        return None if self.scan.unreported else {**states, **self.scan.files}

    def _look_at_files(self, directory: int, paths: Iterator[str]) -> None:
        for path in paced(paths):
            name = path.rpartition("/")[2]
            try:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode):
                self._record(directory, name, path, found)
            else:
                self.scan.unreported.add(path)

    def _walk(self, directory: int, below: str, ancestors: tuple[_Place, ...]) -> None:
        status = os.fstat(directory)
        place = (status.st_dev, status.st_ino)
        if place in ancestors:  # a link to one of its parents
            return
        if status.st_dev != self._device:
            self.scan.unreported.add(below)
        with os.scandir(directory) as entries:
            others = [*self._files(directory, below, entries)]
        for entry in others:
            found = self._open(directory, below + entry.name, entry)
            if found is None:
                self._note(directory, entry.name, below + entry.name)
                continue
            with opened(found):
                self._look(found, below + entry.name, (*ancestors, place))

    def _files(
        self, directory: int, below: str, entries: Iterator[os.DirEntry[str]]
    ) -> Iterator[os.DirEntry[str]]:
        """Record the files among the entries of a directory; yield the other entries."""
        for entry in paced(entries):
            name = entry.name
            if name[0] == ".":
                continue
            if not entry.is_file(follow_symlinks=False):
                yield entry
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:  # removed in the meantime, or not readable
                continue
            self._record(directory, name, below + name, found)

    def _record(self, directory: int, name: str, path: str, found: os.stat_result) -> None:
        """Record a file, with its content if it is or was young."""
        identity = _identity(found)
        known = self._before.get(path)
        if found.st_nlink != 1 or found.st_dev != self._device:
            self.scan.unreported.add(path)
        if identity[3] > self._young_since or (known is not None and known[1]):
            self._look_inside(directory, name, path)
        else:
            same = known is not None and known[0] == identity
            self.scan.files[path] = known if known is not None and same else (identity, "")

    def _look_inside(self, directory: int, name: str, path: str) -> None:
        try:
            descriptor = os.open(name, REGULAR | os.O_NOFOLLOW, dir_fd=directory)
        except OSError:
            self._note(directory, name, path)
            return
        with opened(descriptor):
            self._look(descriptor, path, ())

    def _note(self, directory: int, name: str, path: str) -> None:
        """Record what cannot be opened, because a request that needs it fails."""
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:  # removed in the meantime
            return
        self.scan.files[path] = (_identity(found), "")

    def _open(self, directory: int, path: str, entry: os.DirEntry[str]) -> int | None:
        """Open a directory, or the target of a link."""
        try:
            if entry.is_symlink():
                self.scan.unreported.add(path)
                return open_inside(self._root, path, REGULAR)
            if entry.is_dir(follow_symlinks=False):
                return os.open(entry.name, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
        except (ConfigError, OSError):  # removed, out of the root, or not readable
            pass
        return None

    def _look(self, descriptor: int, path: str, ancestors: tuple[_Place, ...]) -> None:
        """Record an open file, with its content if it is or was young; or walk a directory."""
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self.scan.directories.add(path)
            self._walk(descriptor, f"{path}/", ancestors)
            return
        identity = _identity(status)
        if not stat.S_ISREG(status.st_mode):
            self.scan.files[path] = (identity, "")
            return
        before, digest_before = self._before.get(path, (None, ""))
        is_young = identity[3] > self._young_since
        digest = _digest(descriptor) if is_young or digest_before else ""
        if before == identity and digest_before not in {"", digest}:
            self.scan.rewritten.add(path)
        self.scan.files[path] = (identity, digest if is_young else "")
        if is_young:
            self.scan.young.add(path)


def _identity(status: os.stat_result) -> _Identity:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _digest(descriptor: int) -> str:
    digest = hashlib.sha256()
    try:
        for offset in range(0, _LARGEST, _READ_BYTES):
            part = os.pread(descriptor, _READ_BYTES, offset)
            digest.update(part)
            if len(part) < _READ_BYTES:
                break
    except OSError:
        return "unreadable"
    return digest.hexdigest()


def _differences(before: dict[str, _State], now: dict[str, _State]) -> list[_Difference]:
    found: list[_Difference] = []
    added = 0
    for path, state in paced(now.items()):
        known = before.get(path)
        if known is not state and known != state:
            found.append(_Difference(path=path, before=known, now=state))
            added += known is None
    if len(now) - added < len(before):
        removed = (path for path in paced(before) if path not in now)
        found += [_Difference(path=path, before=before[path], now=None) for path in removed]
    return found


def _weights(differences: Sequence[_Difference]) -> int:
    """Return the change of the sum of the weights of all files."""
    change = 0
    for one in paced(differences):
        if one.now is not None:
            change += _weight(repr((one.path, one.now)))
        if one.before is not None:
            change -= _weight(repr((one.path, one.before)))
    return change


def _weights_of(directories: set[str], now: _Scan) -> int:
    """Return the change of the sum of the weights of all directories."""
    return sum(_weight(path) * (1 if path in now.directories else -1) for path in directories)


def _weight(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest())
