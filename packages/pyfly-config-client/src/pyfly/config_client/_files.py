"""Reads files without waiting or reading too much, and writes them atomically and durably."""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows
_CLOSED_ON_EXEC: Final = getattr(os, "O_CLOEXEC", 0)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
_WRITE_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY | _CLOSED_ON_EXEC
"""The flags to create a file that must not exist yet."""

_WRITABLE_BY_OTHERS: Final = 0o022
_PRIVATE_FILE: Final = 0o600


def read_file(path: str | os.PathLike[str], *, limit: int, private: bool = False) -> bytes:
    """Return the content of a regular file.

    A FIFO, a socket or a device is rejected at once, without waiting for its other end.

    Args:
        path: A link to a file is followed unless the file must be private.
        limit: The largest size in bytes.
        private: Reject a link, a file of another user except root, and a file that others can
            write.

    Raises:
        OSError: The file cannot be read or is rejected; `strerror` says why.
    """
    flags = os.O_RDONLY | _NO_WAIT | _BINARY | _CLOSED_ON_EXEC | (_NO_LINK if private else 0)
    if private and os.path.islink(path):  # noqa: PTH114 - beside `os.open`; its error is unclear
        raise _rejection("is a symbolic link")
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _rejection("is not a regular file")
        if private:
            check_private(status)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise _rejection(f"is larger than {limit:,} bytes")
    return data


def check_private(status: os.stat_result) -> None:
    """Reject a file or a directory that another user could have written to.

    Raises:
        OSError: The owner is neither this user nor root, or others can write it.
    """
    if not hasattr(os, "geteuid"):  # Windows has other permissions
        return
    if status.st_uid not in {os.geteuid(), 0}:
        raise _rejection("belongs to another user")
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise _rejection("can be written by other users")


def _rejection(why: str) -> OSError:
    return OSError(0, why)


def write_file(path: Path, data: bytes) -> None:
    """Write a private file atomically and durably: readers see the old or the new content.

    Raises:
        OSError: It cannot be written; the old content stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    descriptor = os.open(temporary, _WRITE_NEW, _PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - as the other steps
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot open directories
        _flush_directory(path.parent)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
