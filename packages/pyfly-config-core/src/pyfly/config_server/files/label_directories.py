"""Making and removing the directories of labels, so that no label is ever without a file."""

import contextlib
import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from pyfly.config_server.files.atomic import TEMPORARY_NAME, locked, replace_file
from pyfly.config_server.files.safe_io import DIRECTORY, open_at, open_root, opened

__all__ = [
    "STAGING_NAME",
    "create_directories",
    "create_label",
    "remove_empty_label",
]

STAGING_NAME: Final = ".pyfly-config.new"
"""The name of a directory before it becomes a label. It is not a valid label."""

_IN_USE: Final = frozenset((errno.ENOTEMPTY, errno.EEXIST))
_NOT_TO_BE_REMOVED: Final = _IN_USE | {
    *(errno.ENOENT, errno.ENOTDIR),  # removed by another writer; a link to a directory
    *(errno.EBUSY, errno.EACCES, errno.EPERM),  # a mount point; a parent of another owner
}


def create_label(root: Path, label: str, *, name: str, data: bytes, deadline: float) -> bool:
    """Make the directory of a label with its first file, atomically and durably.

    Missing directories are prepared under another name, and appear together with the file or not
    at all. Directories that a killed writer prepared are removed by the next writer.

    Args:
        root: The root directory.
        label: The label, which has no directory.
        name: The name of the file.
        data: The content of the file.
        deadline: A time of the monotonic clock, for the wait for other writers.

    Returns:
        False if the directory or one of its parents was made or removed in the meantime; try
        again.

    Raises:
        BackendAccessDeniedError: A link leads out of the root.
        BackendUnavailableError: The root does not exist, or another writer does not finish.
        OSError: Another failure; nothing was made, unless the last step failed, the flush of the
            parent directory.
    """
    parts = PurePosixPath(label).parts
    with opened(open_root(root)) as top:
        parent, count = _deepest(top, root, parts)
        with opened(parent):
            if count == len(parts):
                return False
            place = "/".join(parts[:count]) or "the root"
            with locked(parent, what=f"'{place}'", deadline=deadline):
                try:
                    _create(parent, parts[count:], name, data)
                except OSError as error:
                    if error.errno not in _IN_USE | {errno.ENOENT}:
                        raise
                    return False
    return True


def create_directories(root: Path, path: str, *, name: str, data: bytes) -> None:
    """Make a directory below the root, and its missing parents, with a first file, atomically.

    The caller must hold the lock of the root, and the directory does not exist.

    Raises:
        BackendAccessDeniedError: A link leads out of the root.
        BackendUnavailableError: The root does not exist.
        FileNotFoundError: The directory was made or removed in the meantime.
        OSError: Another failure, as in `create_label`.
    """
    parts = PurePosixPath(path).parts
    with opened(open_root(root)) as top:
        parent, count = _deepest(top, root, parts)
        with opened(parent):
            if count == len(parts):
                raise FileNotFoundError(errno.ENOENT, "made in the meantime")
            _create(parent, parts[count:], name, data)


def _deepest(top: int, root: Path, parts: Sequence[str]) -> tuple[int, int]:
    """Open the deepest existing directory; return it and the number of its parts."""
    for count in range(len(parts), 0, -1):
        if (found := open_at(top, root, "/".join(parts[:count]))) is not None:
            return found, count
    return os.dup(top), 0


def _create(parent: int, missing: Sequence[str], name: str, data: bytes) -> None:
    _remove_staging(parent)
    try:
        _stage(parent, (STAGING_NAME, *missing[1:]), name, data)
        # Fails if there is a file of that name, or a directory that is not empty.
        os.replace(STAGING_NAME, missing[0], src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with contextlib.suppress(OSError):
            _remove_staging(parent)
        raise
    os.fsync(parent)


def _stage(parent: int, parts: Sequence[str], name: str, data: bytes) -> None:
    if not parts:
        replace_file(parent, name, data)
        return
    os.mkdir(parts[0], dir_fd=parent)
    flags = DIRECTORY | os.O_NOFOLLOW
    with opened(os.open(parts[0], flags, dir_fd=parent)) as directory:
        _stage(directory, parts[1:], name, data)
        os.fsync(directory)


def remove_empty_label(root: Path, label: str, directory: int) -> None:
    """Remove the directory of a label if it is empty, then its parents if they are empty, too.

    The caller must hold the lock of the directory. Temporary files of killed writers are removed.
    A directory that cannot be removed, such as a mount point, stays.

    Raises:
        OSError: Another failure.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(TEMPORARY_NAME, dir_fd=directory)
    _remove_staging(directory)
    path = PurePosixPath(label)
    with opened(open_root(root)) as top:
        for place in (path, *path.parents[:-1]):
            parent = os.dup(top) if len(place.parts) == 1 else open_at(top, root, str(place.parent))
            if parent is None:
                return
            with opened(parent):
                try:
                    os.rmdir(place.name, dir_fd=parent)
                except OSError as error:
                    if error.errno not in _NOT_TO_BE_REMOVED:
                        raise
                    return
                os.fsync(parent)


def _remove_staging(parent: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(STAGING_NAME, dir_fd=parent)
