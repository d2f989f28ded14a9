"""Saving and removing the bundles of a directory tree, one call at a time, blocking."""

import contextlib
import hashlib
import os
import random
import time
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from pyfly.config_core import BackendUnavailableError, ConfigFormatError, ConfigKey
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.files import safe_io
from pyfly.config_server.files.layouts import (
    PROPERTIES_SUFFIX,
    check_flat_label,
    check_rewritable,
    check_writable,
    file_names,
)
from pyfly.config_server.formats.text import SUFFIXES, dump_text
from pyfly.config_server.storage import ConfigSource, Expected, check_expected
from pyfly.config_server.stores.filesystem.labels import create_label, remove_empty_label
from pyfly.config_server.stores.filesystem.tree import Tree

_PAUSE_SECONDS: Final = 0.002


def write_deadline() -> float:
    """Return until when a write that begins now waits for others, of the monotonic clock."""
    return time.monotonic() + safe_io.WRITE_SECONDS


def version_of(data: bytes) -> str:
    """Return the version of a bundle: the digest of its file."""
    return hashlib.sha256(data).hexdigest()


class BundleWriter:
    """Writes the bundle files of a tree. Safe to use from several threads and processes."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def save(self, source: ConfigSource, expected: Expected, *, deadline: float) -> str:
        """Replace the file that a reader uses, in its format; return the new version.

        A save that is refused or fails leaves no directory behind. Until the deadline it waits
        for other writers.
        """
        key = source.key
        check_writable(key)
        if self._tree.flat_label is not None:
            check_flat_label(key.label, self._tree.flat_label)
        text = dump_text(source.properties, suffix=SUFFIXES[0])  # refused before anything is made
        version: str | None = None
        with safe_io.translated(f"save '{key.label}/{key.stem}'"):
            attempts = _attempts(key.label, deadline)
            while version is None:
                next(attempts)
                with (
                    contextlib.suppress(FileNotFoundError),  # the directory has been removed
                    self._turn(key.label, deadline) as directory,
                ):
                    if directory is None:
                        version = self._create(key, expected, text, deadline)
                    else:
                        version = self._replace(directory, source, expected)
        return version

    def _create(
        self, key: ConfigKey, expected: Expected, text: bytes, deadline: float
    ) -> str | None:
        """Save the first bundle of a label; return `None` if the label has been made meanwhile."""
        check_expected(key, expected=expected, current=None)
        name = file_names(key)[0]
        made = create_label(self._tree.root, key.label, name=name, data=text, deadline=deadline)
        return version_of(text) if made else None

    def _replace(self, directory: int, source: ConfigSource, expected: Expected) -> str:
        key = source.key
        name, data = self._current_at(directory, key) or (file_names(key)[0], None)
        check_expected(key, expected=expected, current=None if data is None else version_of(data))
        _check_rewritable(directory, key, name, data)
        text = dump_text(source.properties, suffix=Path(name).suffix)
        safe_io.replace_file(directory, name, text)
        safe_io.remove_files(directory, [other for other in file_names(key) if other != name])
        return version_of(text)

    def delete(self, key: ConfigKey, expected: Expected, *, deadline: float) -> None:
        """Remove the file that a reader uses, and those it shadows; the label with its last file.

        What a save must not rewrite is not removed either.
        """
        with (
            safe_io.translated(f"delete '{key.label}/{key.stem}'"),
            self._turn(key.label, deadline) as directory,
        ):
            current = None if directory is None else self._current_at(directory, key)
            version = None if current is None else version_of(current[1])
            check_expected(key, expected=expected, current=version)
            if directory is None or current is None:
                return
            _check_rewritable(directory, key, *current)
            # Shadowed files first, so that they never become visible.
            safe_io.remove_files(directory, list(reversed(file_names(key))))
            if self._tree.flat_label is None:
                remove_empty_label(self._tree.root, key.label, directory)

    def stored_version(self, key: ConfigKey) -> str | None:
        """Return the version of the file that a reader uses, whether it parses or not."""
        with safe_io.translated(f"read '{key.label}/{key.stem}'"):
            directory = self._tree.open(key.label)
            if directory is None:
                return None
            with safe_io.opened(directory):
                current = self._current_at(directory, key)
        return None if current is None else version_of(current[1])

    @contextlib.contextmanager
    def _turn(self, label: str, deadline: float) -> Generator[int | None]:
        """Open the directory of a label and hold its lock; `None` when there is none.

        Raises:
            BackendUnavailableError: Another writer does not finish, or the directory is replaced
                or removed again and again.
        """
        for _ in _attempts(label, deadline):
            directory = self._tree.open(label)
            if directory is None:
                yield None
                return
            with (
                safe_io.opened(directory),
                safe_io.locked(directory, what=f"'{label}'", deadline=deadline),
            ):
                if self._tree.is_in_place(label, directory):
                    yield directory
                    return

    def _current_at(self, directory: int, key: ConfigKey) -> tuple[str, bytes] | None:
        for name in file_names(key):
            path = self._tree.path(key.label, name)
            descriptor = safe_io.open_file(directory, name, root=self._tree.root, path=path)
            if descriptor is not None:
                where = f"{key.label}/{name}"
                read = partial(safe_io.read_file, descriptor, limit=MAX_DOCUMENT_BYTES, where=where)
                with safe_io.opened(descriptor):
                    try:
                        content = safe_io.settled(read)
                    except ConfigFormatError as error:
                        raise error.at(where) from error
                return name, content.data
        return None


def _attempts(label: str, deadline: float) -> Iterator[None]:
    """Yield until the deadline has passed, with a pause between.

    The directory of a label may be removed, with its last file, while it is being opened.

    Raises:
        BackendUnavailableError: The deadline has passed.
    """
    yield
    while time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS * random.random())  # noqa: S311 - spreads writers
        yield
    raise BackendUnavailableError(
        f"the directory of '{label}' keeps being replaced or removed; nothing was written"
    )


def _check_rewritable(directory: int, key: ConfigKey, name: str, data: bytes | None) -> None:
    try:
        os.stat(key.stem + PROPERTIES_SUFFIX, dir_fd=directory, follow_symlinks=False)
        beside = True
    except FileNotFoundError:
        beside = False
    check_rewritable(key, name=name, data=data, beside_properties=beside)
