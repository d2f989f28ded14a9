"""Opening files below a root, and nothing outside it.

Every path is opened component by component without following links. A link is followed only
when its real path stays inside the root. Failures of the operating system become errors of the
tree here, with names relative to the root.
"""

import contextlib
import errno
import os
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from typing import Final

from pyfly.config_core import BackendAccessDeniedError, BackendUnavailableError

__all__ = [
    "DIRECTORY",
    "REGULAR",
    "open_at",
    "open_file",
    "open_inside",
    "open_root",
    "opened",
    "translated",
]

# Windows has not all of these. It can import this module; `platforms` says what is missing.
DIRECTORY: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
REGULAR: Final = (  # a FIFO must not block the open
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)
_LINK_MET: Final = (errno.ELOOP, errno.ENOTDIR)


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
