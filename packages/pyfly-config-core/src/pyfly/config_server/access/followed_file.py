"""`FollowedAccessFile`: the principals of an access file, and of the file that replaces it."""

import asyncio
import contextlib
import hashlib
import logging
import os
import shlex
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from pyfly.config_core import ConfigError
from pyfly.config_server.access.access_file import (
    MAX_ACCESS_FILE_BYTES,
    AccessTable,
    parse_access_file,
)
from pyfly.config_server.files.safe_io import REGULAR, opened

__all__ = ["LOOK_SECONDS", "AccessFileError", "FollowedAccessFile"]

_LOG: Final = logging.getLogger(__name__)
LOOK_SECONDS: Final = 0.5
"""The time between two looks at the file. A change counts when two looks have seen the same."""
_VERSION_DIGITS: Final = 16
_SETTLING_NANOSECONDS: Final = 2_000_000_000
"""The longest tick of the times that file systems keep."""


class AccessFileError(ConfigError):
    """The access file cannot be read; the message names it and the reason."""


class _Identity(NamedTuple):
    """What differs when a file was written or replaced."""

    device: int
    inode: int
    modified: int
    changed: int
    size: int


_UNKNOWN: Final = _Identity(-1, -1, -1, -1, -1)


class FollowedAccessFile:
    """The principals of an access file, while the file changes.

    A file that cannot be read, or is broken, is reported in the log; the principals before stay in
    force. A file that is just being written is not read: a half file could grant too much.

    Args:
        path: The file. Links are followed at each look, as Kubernetes replaces mounted files.
        reserved: Names that no principal may have.
        in_force: Called with the version of the file before, `None` at first, and that of the file
            that is in force now: the beginning of its SHA-256.

    Raises:
        AccessFileError: It cannot be read.
        ConfigFormatError: It is broken.
    """

    def __init__(
        self,
        path: Path,
        *,
        reserved: frozenset[str] = frozenset(),
        in_force: Callable[[str | None, str], object] | None = None,
    ) -> None:
        self._path = path
        self._reserved = reserved
        self._task: asyncio.Task[None] | None = None
        self._read: _Identity | None = None
        self._seen: _Identity | None = None
        self._in_force = in_force
        self._version: str | None = None
        self._read_version = ""
        with opened(self._open()) as descriptor:
            table = self._load(descriptor)
        self.table: AccessTable = table
        """The principals in force."""
        self.problem: str | None = None
        """Why the present file is not in force; `None` if it is."""
        self._doubt_young_file()
        self._tell_version()

    def _tell_version(self) -> None:
        """Tell that the file which was read last is in force."""
        before, self._version = self._version, self._read_version
        if self._in_force is not None and before != self._version:
            self._in_force(before, self._version)

    def _doubt_young_file(self) -> None:
        """Have the file read again if it may have changed since, without another time."""
        if self._read is not None and time.time_ns() - self._read.changed < _SETTLING_NANOSECONDS:
            self._read = _UNKNOWN

    def start(self) -> None:
        """Begin to follow the file in the running event loop, unless this has begun."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())

    async def aclose(self) -> None:
        """Stop following the file. The principals stay."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - a task that ended would keep revoked tokens in force
                _LOG.exception("looking at the access file %s failed", self._path)

    async def look(self) -> None:
        """Look at the file once. Its principals come into force if it was the same a look ago."""
        table = await asyncio.to_thread(self._look)
        if table is not None:
            self.table = table
            self._tell_version()
            _LOG.info("access file %s: %d principals in force", self._path, len(table.entries))

    def _look(self) -> AccessTable | None:
        """Return the principals of a file that has changed and is complete.

        What is looked at is the opened file, so that it is the one that is read.
        """
        try:
            descriptor = self._open()
        except AccessFileError as error:
            if self._is_new(None):
                self._refuse(None, error)
            return None
        with opened(descriptor):
            seen = _identity_of(os.fstat(descriptor))
            if not self._is_new(seen):
                return None
            try:
                return self._load(descriptor)
            except ConfigError as error:
                self._refuse(seen, error)
                return None

    def _is_new(self, seen: _Identity | None) -> bool:
        """True if a file is not the one that was read, and the same as a look ago."""
        is_settled, self._seen = seen == self._seen, seen
        return is_settled and seen != self._read

    def _refuse(self, seen: _Identity | None, error: ConfigError) -> None:
        """Report once that a file cannot be used."""
        self._read = seen
        self.problem = str(error)
        _LOG.error("%s; the principals before stay in force", error)

    def _open(self) -> int:
        """Return a descriptor of the file, which has to be closed.

        Raises:
            AccessFileError: There is none.
        """
        try:
            return os.open(self._path, REGULAR)
        except OSError as error:
            raise self._unreadable(error.strerror) from error
        except ValueError as error:
            raise self._unreadable("the name is not acceptable") from error

    def _unreadable(self, reason: str | None) -> AccessFileError:
        return AccessFileError(f"cannot read the access file {str(self._path)!r}: {reason}")

    def _load(self, descriptor: int) -> AccessTable:
        """Read the file, and note which one it was.

        Raises:
            AccessFileError: It cannot be read.
            ConfigFormatError: It is broken.
        """
        name = str(self._path)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise AccessFileError(f"the access file {name!r} is not a file")
            data = _read(descriptor)
            if _identity_of(os.fstat(descriptor)) != _identity_of(status):
                raise AccessFileError(f"the access file {name!r} is being written")
        except OSError as error:
            raise self._unreadable(error.strerror) from error
        if status.st_mode & stat.S_IWOTH:
            raise AccessFileError(
                f"every user of this machine may write the access file {name!r}; close it with: "
                f"chmod o= {shlex.quote(name)}"
            )
        table = parse_access_file(data, where=name, reserved=self._reserved)
        self._read_version = hashlib.sha256(data).hexdigest()[:_VERSION_DIGITS]
        self._seen = self._read = _identity_of(status)
        self.problem = None
        if status.st_mode & stat.S_IROTH:
            _LOG.warning(
                "every user of this machine may read the access file %s; close it: chmod o= %s",
                name,
                shlex.quote(name),
            )
        return table


def _read(descriptor: int) -> bytes:
    """Return the content, cut somewhere after the largest size."""
    chunks: list[bytes] = []
    size = 0
    while size <= MAX_ACCESS_FILE_BYTES and (chunk := os.read(descriptor, 1_048_576)):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _identity_of(status: os.stat_result) -> _Identity:
    return _Identity(
        status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
    )
