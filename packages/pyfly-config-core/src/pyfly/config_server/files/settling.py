"""Reading files that another program may be writing: complete, and only after they settled."""

import contextlib
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from pyfly.config_core import ConfigFormatError
from pyfly.config_server.files.file_tree import IrregularFileError, UnsettledFileError

__all__ = [
    "EMPTY_NANOSECONDS",
    "SETTLED_SECONDS",
    "SETTLING_NANOSECONDS",
    "FileIdentity",
    "file_identity",
    "identity_at",
    "read_file",
    "settled",
]

_Result = TypeVar("_Result")

SETTLING_NANOSECONDS: Final = 100_000_000
"""A file that was written more recently may not be complete."""
EMPTY_NANOSECONDS: Final = 1_000_000_000
"""The same for an empty file, because a program that rewrites a file truncates it first."""
SETTLED_SECONDS: Final = 1.2
"""The time that a read waits for a file that keeps changing."""

_READ_ATTEMPTS: Final = 5
_FREEING_SECONDS: Final = 0.05
_FREED_SECONDS: Final = 0.001
_SHORTEST_PAUSE_SECONDS: Final = 0.01
_LONGEST_PAUSE_SECONDS: Final = 0.05
_OLD_NANOSECONDS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """A value that changes whenever the content of a file may have changed."""

    device: int
    inode: int
    size: int
    modified: int
    """Nanoseconds since the epoch."""
    changed: int
    """Nanoseconds since the epoch."""

    @classmethod
    def of(cls, status: os.stat_result) -> "FileIdentity":
        """Return the identity of a file with this status."""
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            modified=status.st_mtime_ns,
            changed=status.st_ctime_ns,
        )

    @property
    def is_old(self) -> bool:
        """True if the next change will change the identity: the file is older than a clock tick."""
        return time.time_ns() - max(self.modified, self.changed) >= _OLD_NANOSECONDS


def identity_at(directory: int, name: str) -> FileIdentity | None:
    """Return the identity of a regular file in an open directory; `None` for anything else."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileIdentity.of(status) if stat.S_ISREG(status.st_mode) else None


def file_identity(descriptor: int, *, limit: int) -> FileIdentity:
    """Return the identity of an open file.

    Raises:
        IrregularFileError: The file is not a regular file.
        ConfigFormatError: The file is larger than `limit` bytes.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise IrregularFileError("not a regular file")
    if status.st_size > limit:
        raise ConfigFormatError(f"larger than {limit:,} bytes")
    return FileIdentity.of(status)


def read_file(descriptor: int, *, limit: int, where: str) -> tuple[bytes, FileIdentity]:
    """Return the complete content of an open file, and its identity.

    A program that rewrites a file truncates it and then writes it in pieces. Therefore the last
    write must be at least 0.1 seconds ago, or 1 second if the file is empty. A file that was
    written earlier and then renamed can be read at once.

    Args:
        descriptor: The open file.
        limit: The largest size in bytes.
        where: The name of the file in errors.

    Raises:
        IrregularFileError: The file is not a regular file.
        ConfigFormatError: The file is larger than `limit` bytes.
        UnsettledFileError: The file may not be complete; try again.
    """
    for _ in range(_READ_ATTEMPTS):
        before = file_identity(descriptor, limit=limit)
        _check_settled(before, where)
        data = _read_from_start(descriptor, before.size)
        if not data:
            _await_times(descriptor)
        if file_identity(descriptor, limit=limit) == before and len(data) == before.size:
            return data, before
    raise UnsettledFileError(where, _SHORTEST_PAUSE_SECONDS)


def _check_settled(identity: FileIdentity, where: str) -> None:
    quiet = EMPTY_NANOSECONDS if identity.size == 0 else SETTLING_NANOSECONDS
    # The earlier time counts, so that a file with a time in the future can be read.
    age = time.time_ns() - min(identity.modified, identity.changed)
    if 0 <= age < quiet:
        raise UnsettledFileError(where, min((quiet - age) / 1e9, _LONGEST_PAUSE_SECONDS))


def _await_times(descriptor: int) -> None:
    """Wait until the times of an empty file are the times of its truncation.

    While a file system truncates a file, its size is 0 and its times are still those of the last
    write: for some milliseconds, or for as long as the truncating process is not scheduled. The
    search for data waits for the lock that a truncation holds. The pause is for file systems whose
    search does not.
    """
    if hasattr(os, "SEEK_DATA"):
        with contextlib.suppress(OSError):  # there is no data, or no such search
            os.lseek(descriptor, 0, os.SEEK_DATA)
    time.sleep(_FREEING_SECONDS if os.fstat(descriptor).st_blocks else _FREED_SECONDS)


def settled(read: Callable[[], _Result]) -> _Result:
    """Return the result of `read`, repeated for about a second while a file settles.

    The last call begins after that time, so that a file which settled in the meantime is read even
    on a busy machine.

    Raises:
        UnsettledFileError: The file keeps changing.
    """
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        began = time.monotonic()
        try:
            return read()
        except UnsettledFileError as error:
            if began > deadline:
                raise
            time.sleep(error.seconds)


def _read_from_start(descriptor: int, size: int) -> bytes:
    """Return the bytes of a file: fewer than its size if it is shorter, one more if longer."""
    data = os.pread(descriptor, size + 1, 0)
    if len(data) >= size:
        return data
    parts = bytearray(data)  # some file systems return less than is asked for
    while len(parts) < size and (more := os.pread(descriptor, size + 1 - len(parts), len(parts))):
        parts += more
    return bytes(parts)
