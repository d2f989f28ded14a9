"""Walking a tree of label directories, by name only."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from pyfly.config_core import ConfigError, InvalidConfigKeyError, check_name
from pyfly.config_server.files.safe_io import open_inside, open_root, opened, translated

_LOG: Final = logging.getLogger(__name__)

_Place: TypeAlias = tuple[int, int]


def walk_labels(root: Path) -> list[tuple[str, list[str]]]:
    """Return every directory that can be a label with the names of its files, sorted.

    Directories whose names cannot be labels, as `.git` and `..data`, are passed over. What
    cannot be opened is logged and left out.

    Raises:
        BackendUnavailableError: The root is not there.
        BackendAccessDeniedError: The root cannot be listed.
    """
    with translated("list the root"):
        return sorted(_descend(root, "", ()))


def list_root(root: Path) -> list[str]:
    """Return the names of the files in the root itself.

    Raises:
        BackendUnavailableError: The root is not there.
        BackendAccessDeniedError: It cannot be listed.
    """
    with (
        translated("list the root"),
        opened(open_root(root)) as directory,
        os.scandir(directory) as entries,
    ):
        return [entry.name for entry in entries if not _is_directory(entry)]


def _descend(
    root: Path, label: str, ancestors: tuple[_Place, ...]
) -> Iterator[tuple[str, list[str]]]:
    directory = _open_listed(root, label)
    if directory is None:
        return
    with opened(directory):
        status = os.fstat(directory)
        place = (status.st_dev, status.st_ino)
        if place in ancestors:  # a link to one of its own parents
            return
        with os.scandir(directory) as entries:
            kinds = {entry.name: _is_directory(entry) for entry in entries}
    if label:
        yield label, [name for name, is_directory in kinds.items() if not is_directory]
    for name in (name for name, is_directory in kinds.items() if is_directory):
        child = f"{label}/{name}" if label else name
        if _is_label(child):
            yield from _descend(root, child, (*ancestors, place))


def _open_listed(root: Path, label: str) -> int | None:
    if not label:
        return open_root(root)
    try:
        return open_inside(root, label)
    except (ConfigError, OSError) as error:
        _LOG.warning("left out of the listing: '%s': %s", label, error)
        return None


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """True if it is a directory or a link to one; what that is cannot always be found out."""
    try:
        return entry.is_dir()
    except OSError:  # links in a circle, or through a directory that is closed to this user
        return False


def _is_label(text: str) -> bool:
    try:
        check_name("label", text)
    except InvalidConfigKeyError:
        return False
    return True
