"""Opening files below a root, and never outside of it.

Every path is opened component by component without following links. A link is followed only if its
real path is inside the root. Errors of the operating system become errors of the project, with
names relative to the root.
"""

import contextlib
import errno
import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

from pyfly.config_core import BackendAccessDeniedError, BackendUnavailableError

__all__ = [
    "DIRECTORY",
    "REGULAR",
    "missing_root",
    "open_at",
    "open_file",
    "open_inside",
    "open_root",
    "opened",
    "translated",
]

# Windows lacks some of these flags. `platforms` reports the missing ones.
DIRECTORY: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
REGULAR: Final = (  # a FIFO must not block the open
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)
_LINK_MET: Final = (errno.ELOOP, errno.ENOTDIR)
_ABSENT: Final = (errno.ENOENT, errno.ENAMETOOLONG)


@contextlib.contextmanager
def translated(what: str) -> Generator[None]:
    """Convert an `OSError` to an error of the project that names the failed operation.

    Raises:
        BackendAccessDeniedError: Permissions are missing, or the file system is read-only.
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
    """Open `root/relative` for reading; `None` if it does not exist.

    A name that is too long for the file system does not exist.

    Args:
        root: An existing directory. Its own path may contain links.
        relative: A path with `/` between its parts. All parts are checked.
        flags: The flags for the last part.

    Raises:
        BackendAccessDeniedError: A link leads out of the root.
        BackendUnavailableError: The root does not exist.
        OSError: Another failure.
    """
    with opened(open_root(root)) as top:
        return open_at(top, root, relative, flags)


def open_at(top: int, root: Path, relative: str, flags: int = DIRECTORY) -> int | None:
    """Open a path as `open_inside` does, below the open root `top`."""
    try:
        return _descend(top, relative, flags)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
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
        BackendUnavailableError: The root does not exist or is not a directory.
    """
    try:
        return os.open(root, DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing_root(error) from error


def missing_root(error: OSError) -> BackendUnavailableError:
    """Return the error for a root that does not exist or is not a directory."""
    return BackendUnavailableError(
        f"cannot open the root of the configuration: {os.strerror(error.errno or 0)}"
    )


def _descend(top: int, relative: str, flags: int) -> int:
    *parents, last = relative.split("/")
    if not parents:
        return os.open(last, flags | os.O_NOFOLLOW, dir_fd=top)
    with contextlib.ExitStack() as stack:
        current = top
        for part in parents:
            current = os.open(part, DIRECTORY | os.O_NOFOLLOW, dir_fd=current)
            stack.callback(os.close, current)
        return os.open(last, flags | os.O_NOFOLLOW, dir_fd=current)


def _real_inside(root: Path, relative: str) -> str | None:
    """Return the real path of `root/relative`; `None` if it does not exist."""
    top = os.path.realpath(root)
    try:
        real = os.path.realpath(Path(top, relative), strict=True)
    except OSError:
        return None
    if not real.startswith(top.rstrip("/") + "/"):
        raise BackendAccessDeniedError(f"'{relative}' is a link out of the root")
    return real[len(top.rstrip("/")) + 1 :]


def open_file(directory: int, name: str, *, root: Path, path: str) -> int | None:
    """Open the file `name` of an open directory for reading; `None` if it does not exist.

    `path` is its path below the root, which is needed if it is a link.
    """
    try:
        return _descend(directory, name, REGULAR)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        if error.errno not in _LINK_MET:
            raise
    return open_inside(root, path, REGULAR)
