"""Replacing and removing files in an open directory: atomically, durably, one writer at a time."""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Generator, Sequence
from typing import Final

from pyfly.config_core import BackendUnavailableError
from pyfly.config_server.files.safe_io import opened
from pyfly.config_server.files.settling import SETTLING_NANOSECONDS

__all__ = ["TEMPORARY_NAME", "locked", "remove_files", "replace_file"]

TEMPORARY_NAME: Final = ".pyfly-config.tmp"

_LOCK_POLL_SECONDS: Final = 0.01


@contextlib.contextmanager
def locked(directory: int, *, what: str, deadline: float) -> Generator[None]:
    """Hold the lock of a directory, which excludes other processes, too.

    The operating system releases it when the process ends.

    Args:
        directory: Opened for this call. Calls with the same descriptor do not exclude each other.
        what: The name of the directory in errors.
        deadline: A time of the monotonic clock.

    Raises:
        BackendUnavailableError: Another writer held the lock until the deadline; nothing was
            written.
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


def replace_file(
    directory: int,
    name: str,
    data: bytes,
    *,
    check: Callable[[], None] | None = None,
    mode: int = 0o666,
) -> None:
    """Replace or create a file, atomically and durably. The caller must hold the directory's lock.

    A reader sees the old or the new bytes. Temporary files of a killed writer are overwritten. An
    existing file keeps its permissions, and its owner if this process may give files away. A new
    one has the permissions of `mode` that this process grants to new files. `check` is called last
    before the rename; if it raises, nothing changes.

    Raises:
        OSError: Nothing changed, unless the last step failed, the flush of the directory.
    """
    kept = _status_of(directory, name)
    try:
        with opened(_create_temporary(directory, mode)) as descriptor:
            if kept is not None:
                _keep_owner_and_permissions(descriptor, kept)
            _write_all(descriptor, data)
            # The file is complete before the rename, so that readers need not wait.
            settled_at = time.time_ns() - SETTLING_NANOSECONDS
            os.utime(descriptor, ns=(settled_at, settled_at))
            os.fsync(descriptor)
        if check is not None:
            check()
        os.replace(TEMPORARY_NAME, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(TEMPORARY_NAME, dir_fd=directory)
        raise
    os.fsync(directory)


def _status_of(directory: int, name: str) -> os.stat_result | None:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _create_temporary(directory: int, mode: int) -> int:
    """Create the temporary file, in place of that of a killed writer."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(TEMPORARY_NAME, flags, mode, dir_fd=directory)
    except FileExistsError:
        os.unlink(TEMPORARY_NAME, dir_fd=directory)
        return os.open(TEMPORARY_NAME, flags, mode, dir_fd=directory)


def _keep_owner_and_permissions(descriptor: int, status: os.stat_result) -> None:
    """Give a file to the owner of another one: root may, others may not and keep it."""
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) != (status.st_uid, status.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
    elif mine.st_mode == status.st_mode:
        return
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def remove_files(directory: int, names: Sequence[str]) -> bool:
    """Remove the existing files of `names`, durably; return true if there were any."""
    removed = False
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
            removed = True
    if removed:
        os.fsync(directory)
    return removed
