"""The files of a standby: private to this user, opened without following links, never torn."""

import contextlib
import os
import re
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyfly.config_core import UnsupportedOperationError
from pyfly.config_server.files.safe_io import DIRECTORY, REGULAR, opened
from pyfly.config_server.live.private_files import (
    PRIVATE_FILE,
    SAFE,
    check_private_directory,
    check_private_file,
    explained,
    is_link,
    open_private_directory,
    rejection,
)

__all__ = [
    "MAX_RECORD_BYTES",
    "RecordFile",
    "StandbyFiles",
]


MAX_RECORD_BYTES: Final = 67_108_864
"""The largest file that is read or written."""

_RECORD: Final = re.compile(r"[0-9a-f]{64}\.(?:record|snapshot)")
_LOCK: Final = "lock"
_TEMPORARY: Final = "new.tmp"
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFile:
    """One file with a record."""

    name: str
    inode: int
    """Changes whenever the file is replaced."""
    size: int
    """In bytes."""
    confirmed: float
    """When its content was last known to be current, in seconds since 1970."""


class StandbyFiles:
    """The files for one store. Safe for use from several threads and processes.

    The directories are created if they do not exist.

    Args:
        root: The directory of the standby.
        name: The subdirectory for the store.

    Raises:
        BackendError: A directory or a file cannot be used; the message says why and what to do.
        UnsupportedOperationError: The operating system lacks locks, as Windows does.
    """

    def __init__(self, root: Path, name: str) -> None:
        _check_platform()
        self.path: Final = root / name
        self.had_records = False
        """True if there were records at the start."""
        with (
            explained(root),
            opened(open_private_directory(root, None)) as top,
            explained(self.path),
        ):
            self._directory = open_private_directory(name, top)
        try:
            with explained(self.path):
                self._check_files()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self.path)!r})"

    def close(self) -> None:
        """Close the directory. Closing twice is allowed."""
        directory, self._directory = self._directory, -1
        if directory >= 0:
            os.close(directory)

    # --- reading ----------------------------------------------------------------------

    def read(self, name: str, *, limit: int = MAX_RECORD_BYTES) -> tuple[bytes, float] | None:
        """Return the content of a file and when it was confirmed; `None` if it does not exist.

        Args:
            name: The name of the file.
            limit: Read so many bytes at most.

        Raises:
            OSError: The file cannot be read or is rejected; `strerror` says why.
        """
        try:
            descriptor = os.open(name, REGULAR | SAFE, dir_fd=self._directory)
        except FileNotFoundError:
            return None
        except OSError:
            if is_link(name, self._directory):
                raise rejection("is a symbolic link") from None
            raise
        with opened(descriptor):
            status = os.fstat(descriptor)
            check_private_file(status)
            if status.st_size > MAX_RECORD_BYTES:
                raise rejection(f"is larger than {MAX_RECORD_BYTES:,} bytes")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(limit), status.st_mtime

    def find(self, name: str) -> RecordFile | None:
        """Return a file without its content; `None` if it does not exist or is no regular file."""
        try:
            status = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return _record_file(name, status) if stat.S_ISREG(status.st_mode) else None

    def list(self) -> Iterator[RecordFile]:
        """Yield all files with records, in no order."""
        for name, status in self._entries():
            if _RECORD.fullmatch(name) and stat.S_ISREG(status.st_mode):
                yield _record_file(name, status)

    def _entries(self) -> Iterator[tuple[str, os.stat_result]]:
        # A descriptor of its own, because descriptors of one opening share their position.
        again = os.open(".", DIRECTORY, dir_fd=self._directory)
        with opened(again), os.scandir(again) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # removed in the meantime
                    yield entry.name, entry.stat(follow_symlinks=False)

    def _check_files(self) -> None:
        for name, status in self._entries():
            if _RECORD.fullmatch(name) or name == _LOCK:
                with explained(self.path / name):
                    check_private_file(status)
                self.had_records |= name != _LOCK

    # --- writing ----------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self) -> Generator[bool]:
        """Hold the lock of the directory; give false at once if another writer holds it.

        The operating system releases it when the process ends.

        Raises:
            OSError: The directory or its lock cannot be used.
        """
        import fcntl  # noqa: PLC0415 - POSIX only

        check_private_directory(os.fstat(self._directory))
        flags = os.O_RDWR | os.O_CREAT | SAFE
        with opened(os.open(_LOCK, flags, PRIVATE_FILE, dir_fd=self._directory)) as descriptor:
            check_private_file(os.fstat(descriptor))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def write(self, name: str, data: bytes, *, confirmed: float) -> RecordFile:
        """Create or replace a file, atomically. The caller holds the lock.

        The content is on the disk afterwards; the name is after `flush`.

        Raises:
            OSError: It cannot be written; the old content stays.
        """
        self.remove_leftovers()
        try:
            descriptor = os.open(_TEMPORARY, _NEW | SAFE, PRIVATE_FILE, dir_fd=self._directory)
            with opened(descriptor):
                _write_all(descriptor, data)
                os.utime(descriptor, (confirmed, confirmed))
                os.fsync(descriptor)
                status = os.fstat(descriptor)
            os.replace(_TEMPORARY, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove_leftovers()
            raise
        return _record_file(name, status)

    def confirm(self, name: str, confirmed: float) -> None:
        """Note that the content of a file was read from the store again."""
        times = (confirmed, confirmed)
        os.utime(name, times, dir_fd=self._directory, follow_symlinks=False)

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._directory)

    def remove_leftovers(self) -> None:
        """Remove what a killed writer left behind. The caller holds the lock."""
        self.remove(_TEMPORARY)

    def flush(self) -> None:
        """Make the names of new files and removals durable."""
        os.fsync(self._directory)


def _record_file(name: str, status: os.stat_result) -> RecordFile:
    return RecordFile(
        name=name, inode=status.st_ino, size=status.st_size, confirmed=status.st_mtime
    )


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _check_platform() -> None:
    if os.name != "posix":
        raise UnsupportedOperationError("a standby", "this operating system, which is not POSIX")
