"""Opening, reading and replacing files below a root, and nothing outside it.

Every path is opened component by component without following links. A link is followed only
when its real path stays inside the root (contract §11.2 rule 6). Failures of the operating
system become errors of the tree here, with names relative to the root.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendUnavailableError,
    ConfigFormatError,
)

_Result = TypeVar("_Result")

TEMPORARY_NAME: Final = ".pyfly-config.tmp"

WRITE_SECONDS: Final = 10.0
"""How long a write waits for other writers."""

_LOCK_POLL_SECONDS: Final = 0.01
_READ_ATTEMPTS: Final = 5

SETTLING_NANOSECONDS: Final = 100_000_000
"""A file that was written less than this ago may not be complete."""
EMPTY_NANOSECONDS: Final = 1_000_000_000
"""The same for an empty file: whoever writes into a file empties it first."""
_FREEING_SECONDS: Final = 0.05
_FREED_SECONDS: Final = 0.001
SETTLED_SECONDS: Final = 1.2
"""How long a read waits for a file that keeps changing."""
_SHORTEST_PAUSE_SECONDS: Final = 0.01
_LONGEST_PAUSE_SECONDS: Final = 0.05

# Windows has not all of these. It can import this module; `platforms` says what is missing.
DIRECTORY: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
REGULAR: Final = (  # a FIFO must not block the open
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)
_LINK_MET: Final = (errno.ELOOP, errno.ENOTDIR)


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
        """Take it from a file's status."""
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            modified=status.st_mtime_ns,
            changed=status.st_ctime_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """The bytes of a file that did not change while it was read."""

    data: bytes = field(repr=False)
    identity: FileIdentity


@contextlib.contextmanager
def translated(what: str) -> Generator[None]:
    """Turn an `OSError` into an error of the tree that says what could not be done.

    Raises:
        BackendAccessDeniedError: Permissions or a read-only file system are in the way.
        BackendUnavailableError: Anything else.
    """
    try:
        yield
    except OSError as error:
        reason = f"cannot {what}: {os.strerror(error.errno) if error.errno else error}"
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise BackendAccessDeniedError(reason) from error
        raise BackendUnavailableError(reason) from error


@contextlib.contextmanager
def opened(descriptor: int) -> Generator[int]:
    """Close `descriptor` at the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_inside(root: Path, relative: str, flags: int = DIRECTORY) -> int | None:
    """Open `root/relative` for reading; `None` when it does not exist.

    Args:
        root: May itself be reached through links; it must be an existing directory.
        relative: With `/` between its parts; every part is already known to be harmless.
        flags: For the last part.

    Raises:
        BackendAccessDeniedError: A link leads out of the root.
        BackendUnavailableError: The root is not there.
        OSError: Anything else that the operating system says.
    """
    with opened(open_root(root)) as top:
        return open_at(top, root, relative, flags)


def open_at(top: int, root: Path, relative: str, flags: int = DIRECTORY) -> int | None:
    """Open like `open_inside`, below the open root `top`."""
    try:
        return _descend(top, PurePosixPath(relative), flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _LINK_MET:
            raise
    target = _real_inside(root, relative)
    try:
        return None if target is None else _descend(top, target, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None


def open_root(root: Path) -> int:
    """Open the root itself.

    Raises:
        BackendUnavailableError: It is not there or not a directory.
    """
    try:
        return os.open(root, DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BackendUnavailableError(
            f"the root of the configuration is not there: {os.strerror(error.errno or 0)}"
        ) from error


def _descend(top: int, relative: PurePosixPath, flags: int) -> int:
    with contextlib.ExitStack() as stack:
        current = top
        *parents, last = relative.parts
        for part in parents:
            current = os.open(part, DIRECTORY | os.O_NOFOLLOW, dir_fd=current)
            stack.callback(os.close, current)
        return os.open(last, flags | os.O_NOFOLLOW, dir_fd=current)


def _real_inside(root: Path, relative: str) -> PurePosixPath | None:
    """Resolve the links in `root/relative`; `None` when it leads nowhere."""
    top = os.path.realpath(root)
    try:
        real = os.path.realpath(Path(top, relative), strict=True)
    except OSError:
        return None
    if not real.startswith(top.rstrip("/") + "/"):
        raise BackendAccessDeniedError(f"'{relative}' is a link that leaves the root")
    return PurePosixPath(real[len(top.rstrip("/")) + 1 :])


def open_file(directory: int, name: str, *, root: Path, path: str) -> int | None:
    """Open the file `name` of the open directory for reading; `None` when it does not exist.

    `path` says where it is below the root, for the case that it is a link.
    """
    try:
        return _descend(directory, PurePosixPath(name), REGULAR)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _LINK_MET:
            raise
    return open_inside(root, path, REGULAR)


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
        ConfigFormatError: It is not a regular file, or larger than `limit` bytes.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigFormatError("not a regular file")
    if status.st_size > limit:
        raise ConfigFormatError(f"larger than {limit:,} bytes")
    return FileIdentity.of(status)


class UnsettledFileError(BackendUnavailableError):
    """A file is being written, or was a moment ago; it may hold a part of its new content."""

    def __init__(self, where: str, seconds: float) -> None:
        super().__init__(f"'{where}' keeps changing while it is read; replace it by renaming")
        self.seconds = seconds
        """When to try again."""


def read_file(descriptor: int, *, limit: int, where: str) -> FileContent:
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
        ConfigFormatError: It is not a regular file, or larger than `limit` bytes.
        UnsettledFileError: It may not be written to its end; try again.
    """
    for _ in range(_READ_ATTEMPTS):
        before = file_identity(descriptor, limit=limit)
        _check_settled(before, where)
        data = _read_from_start(descriptor, limit)
        if not data:
            _await_times(descriptor)
        if file_identity(descriptor, limit=limit) == before and len(data) == before.size:
            return FileContent(data=data, identity=before)
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


@contextlib.contextmanager
def locked(directory: int, *, what: str, deadline: float) -> Generator[None]:
    """Hold the directory's lock, against other processes too; it dies with its holder.

    Args:
        directory: Opened for this call: two calls that share it do not exclude each other.
        what: The directory as errors name it.
        deadline: Of the monotonic clock.

    Raises:
        BackendUnavailableError: Another writer held it until the deadline; nothing was written.
        OSError: The file system has no locks.
    """
    import fcntl  # noqa: PLC0415 - POSIX only

    while True:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise BackendUnavailableError(
                    f"another writer holds the lock of {what} and does not finish; "
                    "nothing was written"
                ) from error
            time.sleep(_LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        fcntl.flock(directory, fcntl.LOCK_UN)


def replace_file(directory: int, name: str, data: bytes) -> None:
    """Put `data` under `name`, atomically and durably; the directory's lock must be held.

    A reader sees the old bytes or the new ones. What a killed writer left behind is overwritten
    by the next. An existing file keeps its permissions.

    Raises:
        OSError: Nothing changed, unless the very last step failed, the flush of the directory.
    """
    mode = _mode_of(directory, name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(TEMPORARY_NAME, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with opened(os.open(TEMPORARY_NAME, flags, 0o666, dir_fd=directory)) as descriptor:
            if mode is not None:
                os.fchmod(descriptor, mode)
            _write_all(descriptor, data)
            # Complete before it is renamed: readers, in other processes too, need not wait.
            settled_at = time.time_ns() - SETTLING_NANOSECONDS
            os.utime(descriptor, ns=(settled_at, settled_at))
            os.fsync(descriptor)
        os.replace(TEMPORARY_NAME, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(TEMPORARY_NAME, dir_fd=directory)
        raise
    os.fsync(directory)


def _mode_of(directory: int, name: str) -> int | None:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return stat.S_IMODE(status.st_mode) if stat.S_ISREG(status.st_mode) else None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def remove_files(directory: int, names: list[str]) -> bool:
    """Remove what exists of `names`, durably; tell whether anything did."""
    removed = False
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
            removed = True
    if removed:
        os.fsync(directory)
    return removed
