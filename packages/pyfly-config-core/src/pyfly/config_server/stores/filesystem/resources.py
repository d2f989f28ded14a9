"""Plain files beside the bundles one call at a time, blocking."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pyfly.config_core import ConfigFormatError, InvalidConfigKeyError, check_path
from pyfly.config_server.files import safe_io
from pyfly.config_server.files.layouts import MAX_RESOURCE_BYTES, is_bundle
from pyfly.config_server.storage import ConfigResource, ResourceEntry


def read_resource(root: Path, path: str) -> ConfigResource | None:
    """Read the file at `path` below the root; `None` when there is no regular file.

    Args:
        root: What the file must not lie outside of, links resolved.
        path: With `/` between its parts; every part is already known to be harmless.

    Raises:
        ConfigFormatError: It is larger than 10 MiB.
        BackendAccessDeniedError: A link leads out of the root, or permissions are missing.
        UnsettledFileError: It is being written; try again.
        BackendUnavailableError: It cannot be read.
    """
    with safe_io.translated(f"read '{path}'"):
        descriptor = safe_io.open_inside(root, path, safe_io.REGULAR)
        if descriptor is None:
            return None
        with safe_io.opened(descriptor):
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            try:
                content = safe_io.read_file(descriptor, limit=MAX_RESOURCE_BYTES, where=path)
            except ConfigFormatError as error:
                raise error.at(path) from error
    modified = datetime.fromtimestamp(content.identity.modified // 10**9, UTC)
    return ConfigResource(content=content.data, modified=modified)


def list_resources(root: Path, directory: str) -> list[ResourceEntry]:
    """Return the plain files below a directory, ordered by path, bundles left out.

    What is no acceptable path, hidden files among them, is left out, and so is what cannot be
    opened.

    Args:
        root: What the files must not lie outside of, links resolved.
        directory: Below the root; empty for the root itself.
    """
    found = sorted(_walk(root, directory, ""), key=lambda entry: entry.path)
    bundles = {entry.path for entry in found if "/" not in entry.path and is_bundle(entry.path)}
    return [entry for entry in found if entry.path not in bundles]


def _walk(root: Path, directory: str, below: str) -> Iterator[ResourceEntry]:
    path = "/".join(part for part in (directory, below) if part)
    with safe_io.translated(f"list '{path}'"):
        opened = safe_io.open_inside(root, path) if path else safe_io.open_root(root)
        if opened is None:
            return
        with safe_io.opened(opened):
            names = sorted(os.listdir(opened))  # noqa: PTH208 - an open directory has no path
            entries = [(name, _status(opened, name)) for name in names]
    for name, status in entries:
        child = f"{below}/{name}" if below else name
        if status is None or not _is_path(child):
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(root, directory, child)
        elif stat.S_ISREG(status.st_mode):
            modified = datetime.fromtimestamp(status.st_mtime_ns // 10**9, UTC)
            yield ResourceEntry(path=child, size=status.st_size, modified=modified)


def _status(directory: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None


def _is_path(text: str) -> bool:
    try:
        check_path(text)
    except InvalidConfigKeyError:
        return False
    return True
