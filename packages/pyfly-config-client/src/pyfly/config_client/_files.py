"""Reading files that something else may have put there: never waits, never reads too much."""

import os
import stat
from typing import Final

_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows
_CLOSED_ON_EXEC: Final = getattr(os, "O_CLOEXEC", 0)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
WRITE_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY | _CLOSED_ON_EXEC
"""How a file is made that must not exist yet."""

_WRITABLE_BY_OTHERS: Final = 0o022


def read_file(path: str | os.PathLike[str], *, limit: int, private: bool = False) -> bytes:
    """Return the content of a regular file.

    A FIFO, a socket or a device is refused without waiting for whoever is behind it.

    Args:
        path: A link to a file is followed unless the file must be private.
        limit: The most bytes it may have.
        private: Refuse a link, a file of another user except root, and one that others can
            write.

    Raises:
        OSError: It cannot be read; `strerror` says why, also where it is not such a file.
    """
    flags = os.O_RDONLY | _NO_WAIT | _BINARY | _CLOSED_ON_EXEC | (_NO_LINK if private else 0)
    if private and os.path.islink(path):  # noqa: PTH114 - beside `os.open`; its error is obscure
        raise _refused("is a symbolic link")
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused("is not a regular file")
        if private:
            check_private(status)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise _refused(f"is larger than {limit:,} bytes")
    return data


def check_private(status: os.stat_result) -> None:
    """Refuse a file or a directory that another user could have filled.

    Raises:
        OSError: It belongs to another user than this one and root, or others can write it.
    """
    if not hasattr(os, "geteuid"):  # Windows has other permissions
        return
    if status.st_uid not in {os.geteuid(), 0}:
        raise _refused("belongs to another user")
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise _refused("can be written by other users")


def _refused(why: str) -> OSError:
    return OSError(0, why)
