"""Reading files that somebody may be writing: whole, and only when they have settled."""

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
"""A file that was written less than this ago may not be complete."""
EMPTY_NANOSECONDS: Final = 1_000_000_000
"""The same for an empty file: whoever writes into a file empties it first."""
SETTLED_SECONDS: Final = 1.2
"""How long a read waits for a file that keeps changing."""

_READ_ATTEMPTS: Final = 5
_FREEING_SECONDS: Final = 0.05
_FREED_SECONDS: Final = 0.001
_SHORTEST_PAUSE_SECONDS: Final = 0.01
_LONGEST_PAUSE_SECONDS: Final = 0.05
_OLD_NANOSECONDS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """What changes whenever a file's content may have changed."""

    device: int
    inode: int
    size: int
    modified: int
    """Nanoseconds since the epoch."""
    changed: int
    """Nanoseconds since the epoch."""

    @classmethod
    def of(cls, status: os.stat_result) -> "FileIdentity":
        """Return that of a file with this status."""
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            modified=status.st_mtime_ns,
            changed=status.st_ctime_ns,
        )

    @property
    def is_old(self) -> bool:
        """True if the next change will show: the last one is older than the clock's resolution."""
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
        IrregularFileError: It is not a regular file.
        ConfigFormatError: It is larger than `limit` bytes.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise IrregularFileError("not a regular file")
    if status.st_size > limit:
        raise ConfigFormatError(f"larger than {limit:,} bytes")
    return FileIdentity.of(status)


def read_file(descriptor: int, *, limit: int, where: str) -> tuple[bytes, FileIdentity]:
    """Read an open file whole.

    Somebody may be writing into the file, which first empties it and then fills it in pieces. So
    it must not have been written for 0.1 seconds, or for 1 second if it is empty. What counts is
    the time of the last write: a file that was renamed into its place can be read at once, if it
    was written before that.

    Args:
        descriptor: The open file.
        limit: Bytes.
        where: The file as errors name it.

    Raises:
        IrregularFileError: It is not a regular file.
        ConfigFormatError: It is larger than `limit` bytes.
        UnsettledFileError: It may not be written to its end; try again.
    """
    for _ in range(_READ_ATTEMPTS):
        before = file_identity(descriptor, limit=limit)
        _check_settled(before, where)
        data = _read_from_start(descriptor, limit)
        if not data:
            _await_times(descriptor)
        if file_identity(descriptor, limit=limit) == before and len(data) == before.size:
            return data, before
    raise UnsettledFileError(where, _SHORTEST_PAUSE_SECONDS)


def _check_settled(identity: FileIdentity, where: str) -> None:
    quiet = EMPTY_NANOSECONDS if identity.size == 0 else SETTLING_NANOSECONDS
    # The earlier of the two: a time in the future, set by hand, must not keep a file from use.
    age = time.time_ns() - min(identity.modified, identity.changed)
    if 0 <= age < quiet:
        raise UnsettledFileError(where, min((quiet - age) / 1e9, _LONGEST_PAUSE_SECONDS))


def _await_times(descriptor: int) -> None:
    """Wait until the times of an empty file are those of its emptying.

    While a file system frees the content of a file, for some milliseconds, its size is 0 already
    and its times are still those of the last write.
    """
    time.sleep(_FREEING_SECONDS if os.fstat(descriptor).st_blocks else _FREED_SECONDS)


def settled(read: Callable[[], _Result]) -> _Result:
    """Return what `read` returns; call it again, for a little over a second, while a file settles.

    The last call begins after that time: however long a pause takes on a busy machine, a file that
    has settled meanwhile is read.

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


def _read_from_start(descriptor: int, limit: int) -> bytes:
    chunks: list[bytes] = []
    offset = 0
    while offset <= limit and (chunk := os.pread(descriptor, 1 << 20, offset)):
        chunks.append(chunk)
        offset += len(chunk)
    return b"".join(chunks)
