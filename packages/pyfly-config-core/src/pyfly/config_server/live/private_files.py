"""Directories and files that no other user can read or change.

A rejected one raises an `OSError` whose `strerror` says why and what to do.
"""

import contextlib
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Final

from pyfly.config_core import BackendError
from pyfly.config_server.files.safe_io import DIRECTORY

__all__ = [
    "PRIVATE_FILE",
    "SAFE",
    "check_private_directory",
    "check_private_file",
    "explained",
    "is_link",
    "open_private_directory",
    "rejection",
]


SAFE: Final = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
)
"""The flags to open something without following a link and without waiting."""
PRIVATE_FILE: Final = 0o600

_PRIVATE_DIRECTORY: Final = 0o700
_OTHERS: Final = 0o077


def open_private_directory(name: str | Path, parent: int | None) -> int:
    """Open a directory of this user only; create it, and missing directories above it."""
    if parent is None:
        _create_parents(Path(name))
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, _PRIVATE_DIRECTORY, dir_fd=parent)
    try:
        descriptor = os.open(name, DIRECTORY | SAFE, dir_fd=parent)
    except NotADirectoryError:
        what = "is a symbolic link" if is_link(name, parent) else "is not a directory"
        raise rejection(what) from None
    try:
        check_private_directory(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _create_parents(path: Path) -> None:
    for parent in reversed(path.absolute().parents):
        with contextlib.suppress(FileExistsError):
            parent.mkdir(mode=_PRIVATE_DIRECTORY)


def check_private_directory(status: os.stat_result) -> None:
    """Reject a directory of another user, or one that other users can use."""
    _check_owner(status)
    if status.st_mode & _OTHERS:
        raise rejection("can be used by other users; allow its owner only: chmod 700")


def check_private_file(status: os.stat_result) -> None:
    """Reject anything but a regular file that only this user can use."""
    if stat.S_ISLNK(status.st_mode):
        raise rejection("is a symbolic link; remove it")
    if not stat.S_ISREG(status.st_mode):
        raise rejection("is not a regular file; remove it")
    _check_owner(status)
    if status.st_mode & _OTHERS:
        raise rejection("can be used by other users; allow its owner only: chmod 600")


def _check_owner(status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise rejection("belongs to another user; name a directory of this user")


def is_link(name: str | Path, parent: int | None) -> bool:
    """True if the name in an open directory, or the path, is a symbolic link."""
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except OSError:
        return False


def rejection(why: str) -> OSError:
    """Return an error whose `strerror` is this reason."""
    return OSError(0, why)


@contextlib.contextmanager
def explained(path: Path) -> Generator[None]:
    """Convert an `OSError` to an error of the project that names the path."""
    try:
        yield
    except OSError as error:
        raise BackendError(f"standby {path}: {error.strerror}") from error
