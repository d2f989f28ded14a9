"""Listing the files in directories below a root. Blocking."""

import logging
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

from pyfly.config_core import ConfigError, InvalidConfigKeyError, check_name
from pyfly.config_server.files.safe_io import (
    DIRECTORY,
    REGULAR,
    missing_root,
    open_inside,
    open_root,
    opened,
    translated,
)
from pyfly.config_server.storage import ResourceEntry

__all__ = [
    "has_file",
    "has_label",
    "list_directory",
    "list_subdirectories",
    "walk_files",
    "walk_labels",
]

_LOG: Final = logging.getLogger(__name__)

_Place: TypeAlias = tuple[int, int]


def walk_labels(root: Path) -> dict[str, list[str] | None]:
    """Return the names of the files for every directory with the name of a label.

    Directories with other names, such as `.git` and `..data`, are ignored. A directory that cannot
    be opened is logged and has `None` in place of names.

    Raises:
        BackendUnavailableError: The root does not exist.
        OSError: The root cannot be listed.
    """
    return dict(_descend(root, "", ()))


def list_directory(root: Path, directory: str) -> list[str]:
    """Return the names of the files in one directory; empty if it does not exist.

    Args:
        root: The root directory. The directory must be inside of it after links are resolved.
        directory: The path below the root; empty for the root itself.

    Raises:
        BackendUnavailableError: The root does not exist.
        BackendAccessDeniedError: The directory is a link out of the root.
        OSError: The directory cannot be listed.
    """
    opened_directory = open_inside(root, directory) if directory else open_root(root)
    if opened_directory is None:
        return []
    with opened(opened_directory), os.scandir(opened_directory) as entries:
        return [entry.name for entry in entries if not _is_directory(entry)]


def list_subdirectories(root: Path, directory: str) -> list[str]:
    """Return the names of the directories in one directory, without hidden ones.

    A link to a directory counts while it stays inside the root.

    Args:
        root: The root directory.
        directory: The path below the root; empty for the root itself.

    Raises:
        BackendUnavailableError: The root does not exist.
        BackendAccessDeniedError: The directory is a link out of the root.
        OSError: The directory cannot be listed.
    """
    try:
        found = open_inside(root, directory) if directory else open_root(root)
    except NotADirectoryError:
        found = None
    if found is None:
        return []
    with opened(found), os.scandir(found) as entries:
        shown = [entry for entry in entries if entry.name[0] != "."]
        below = f"{directory}/" if directory else ""
        return [one.name for one in shown if _is_inside(root, below + one.name, one)]


def _is_inside(root: Path, path: str, entry: os.DirEntry[str]) -> bool:
    """True if an entry is a directory, or a link to a directory inside the root."""
    try:
        if not entry.is_symlink():
            return entry.is_dir(follow_symlinks=False)
        target = open_inside(root, path)
    except (ConfigError, OSError):  # it leads out of the root or nowhere
        return False
    if target is None:
        return False
    os.close(target)
    return True


def has_label(root: Path) -> bool:
    """True if there is a directory in the root that is not hidden. Stops at the first one.

    Raises:
        BackendUnavailableError: The root does not exist.
        OSError: The root cannot be listed.
    """
    try:
        entries = os.scandir(root)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing_root(error) from error
    with entries:
        return any(entry.name[0] != "." and _is_directory(entry) for entry in entries)


def has_file(root: Path) -> bool:
    """True if there is a file below the root that is not hidden. Stops at the first one.

    Raises:
        BackendUnavailableError: The root does not exist.
        OSError: The root cannot be listed.
    """
    with opened(open_root(root)) as directory:
        return _has_file(directory)


def _has_file(directory: int) -> bool:
    with os.scandir(directory) as entries:
        others: list[str] = []
        for entry in entries:
            if entry.name[0] == ".":
                continue
            if not entry.is_dir(follow_symlinks=False):
                return True
            others.append(entry.name)
    return any(_has_file_in(directory, name) for name in others)


def _has_file_in(parent: int, name: str) -> bool:
    try:
        directory = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError:  # removed in the meantime, or not readable
        return False
    with opened(directory):
        return _has_file(directory)


def walk_files(root: Path, directory: str) -> Iterator[ResourceEntry]:
    """Yield the files below a directory; hidden ones are left out.

    A link to a file counts while it stays inside the root, as in a mounted ConfigMap; a link to a
    directory does not.

    Args:
        root: What the files must not lie outside of, links resolved.
        directory: Below the root; empty for the root itself.
    """
    yield from _walk_files(root, directory, "")


def _walk_files(root: Path, directory: str, below: str) -> Iterator[ResourceEntry]:
    path = "/".join(part for part in (directory, below) if part)
    with translated(f"list '{path}'"):
        opened_directory = open_inside(root, path) if path else open_root(root)
        if opened_directory is None:
            return
        with opened(opened_directory):
            names = sorted(os.listdir(opened_directory))  # noqa: PTH208 - it has no path
            entries = [
                (
                    name,
                    _status(opened_directory, name, root=root, path=f"{path}/{name}".lstrip("/")),
                )
                for name in names
                if not name.startswith(".")
            ]
    for name, status in entries:
        child = f"{below}/{name}" if below else name
        if status is None:
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _walk_files(root, directory, child)
        elif stat.S_ISREG(status.st_mode):
            modified = datetime.fromtimestamp(status.st_mtime_ns // 10**9, UTC)
            yield ResourceEntry(path=child, size=status.st_size, modified=modified)


def _status(directory: int, name: str, *, root: Path, path: str) -> os.stat_result | None:
    """Return the status of a file or directory, or of the file that a link leads to."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            return status
        target = open_inside(root, path, REGULAR)
        if target is None:
            return None
        with opened(target):
            status = os.fstat(target)
            return status if stat.S_ISREG(status.st_mode) else None
    except (ConfigError, OSError):  # it has gone, leads out of the root, or is closed
        return None


def _descend(
    root: Path, label: str, ancestors: tuple[_Place, ...]
) -> Iterator[tuple[str, list[str] | None]]:
    try:
        directory = open_inside(root, label) if label else open_root(root)
    except (ConfigError, OSError) as error:
        yield from _unreadable(root, label, error)
        return
    if directory is None:
        return
    with opened(directory):
        status = os.fstat(directory)
        place = (status.st_dev, status.st_ino)
        if place in ancestors:  # a link to one of its parents
            return
        with os.scandir(directory) as entries:
            kinds = {entry.name: _is_directory(entry) for entry in entries}
    if label:
        yield label, [name for name, is_directory in kinds.items() if not is_directory]
    for name in (name for name, is_directory in kinds.items() if is_directory):
        child = f"{label}/{name}" if label else name
        if _is_label(child):
            yield from _descend(root, child, (*ancestors, place))


def _unreadable(
    root: Path, label: str, error: ConfigError | OSError
) -> Iterator[tuple[str, list[str] | None]]:
    """Log a label that cannot be opened. Raise if it is the root itself."""
    if not label:
        raise error
    if os.path.realpath(root / label) != os.path.realpath(root):
        _LOG.warning("left out of the listing: '%s': %s", label, error)
        yield label, None


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """True if it is a directory or a link to a directory; false if that cannot be determined."""
    try:
        return entry.is_dir()
    except OSError:  # circular links, or a directory that this user may not read
        return False


def _is_label(text: str) -> bool:
    try:
        check_name("label", text)
    except InvalidConfigKeyError:
        return False
    return True
