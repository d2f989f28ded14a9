"""Saving and removing the bundles in the text files of a tree. Blocking."""

import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigFormatError,
    ConfigKey,
    ConfigObstructedError,
    InvalidConfigKeyError,
    UnsupportedOperationError,
)
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.files.bundle_files import bundle_version
from pyfly.config_server.files.bundle_paths import BundlePaths
from pyfly.config_server.files.bundle_texts import (
    NewText,
    edited_file,
    has_several_documents,
    in_several_files,
)
from pyfly.config_server.files.file_tree import (
    UNCHANGED,
    ChangeNote,
    FileContent,
    FilesChangedError,
    FileTree,
    FileWriter,
)
from pyfly.config_server.files.layouts import PROPERTIES_SUFFIX, Layout
from pyfly.config_server.files.loss import LossDetector
from pyfly.config_server.files.search_locations import below
from pyfly.config_server.formats.editing.tree_editor import EditLevel
from pyfly.config_server.formats.text import dump_text
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    ConfigSource,
    Expected,
    RequestedNames,
    check_expected,
)

__all__ = ["SavedText", "TextWriter"]

_LOG: Final = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_PAUSE_SECONDS: Final = 0.002
_LONGEST_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredFiles:
    """The stored files of a bundle before a write."""

    names: Sequence[str]
    """The existing files, the highest precedence first."""
    contents: dict[str, FileContent] = field(repr=False)
    """The files that a reader uses."""

    @property
    def versions(self) -> dict[str, str]:
        """Those of the files that a reader uses."""
        return {name: content.version for name, content in self.contents.items()}

    @property
    def version(self) -> str | None:
        """The version of the bundle; `None` if it is not stored."""
        return bundle_version(self.versions) if self.contents else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedText:
    """The result of a save."""

    version: str
    """The new version of the bundle."""
    remark: str | None
    """What the user must know: that comments were lost."""


class TextWriter:
    """Writes the bundles of a tree. Safe for use from several threads and processes.

    The deadlines of all methods are times of the monotonic clock, for the wait for other writers.

    Args:
        tree: The tree of files.
        layout: The rules for file names.
        loss: Notices that all files are gone.
    """

    def __init__(self, tree: FileTree, layout: Layout, loss: LossDetector) -> None:
        self._tree = tree
        self._layout = layout
        self._loss = loss

    def save(
        self, source: ConfigSource, *, expected: Expected, note: ChangeNote, deadline: float
    ) -> SavedText:
        """Change the file that a reader uses, in its format and as little as possible.

        A refused or failed save leaves no directory behind.

        Raises:
            ConfigConflictError: `expected` does not hold.
            ConfigObstructedError: The bundle lies in several files, or in several documents of a
                file, and it is not clear which of them has to change. Or there is an ignored
                `.properties` file, or the bundle lies in several files and the tree does not lock
                them for a condition.
            ConfigFormatError: The format of the file cannot hold the properties.
            InvalidConfigKeyError: The file would be read as another bundle.
        """
        key = source.key
        self._check_label(key.label)
        self._layout.check_writable(key, lambda: self._names(key.label, deadline))

        def save(writer: FileWriter) -> SavedText:
            stored = self._stored(writer, key, deadline)
            check_expected(key, expected=expected, current=stored.version)
            self._check_covered(key, stored, expected)
            if stored.contents:
                new = edited_file(key, stored.contents, source.properties)
            else:
                data = dump_text(source.properties, suffix=self._layout.new_suffix)
                new = NewText(name=self._new_name(key), data=data, level=EditLevel.ENTRIES)
            obsolete = [] if self._layout.reads_all else [n for n in stored.names if n != new.name]
            _check_removable(key, obsolete)
            condition = ANY if expected is ANY else stored.contents.get(new.name, ABSENT)
            version = writer.replace(
                new.name, new.data, obsolete=obsolete, condition=condition, note=note
            )
            self._loss.saw_content()
            version = bundle_version(stored.versions | {new.name: version})
            return SavedText(version=version, remark=new.remark(key.label))

        saved = self._write(key, save, deadline)
        if saved.remark is not None:
            _LOG.warning("%s", saved.remark)
        return saved

    def delete(
        self, key: ConfigKey, *, expected: Expected, note: ChangeNote, deadline: float
    ) -> None:
        """Remove the ignored files of a bundle, then the file that a reader uses.

        A `.properties` file that the bundle hides, and a file of several documents, stay.

        Raises:
            ConfigConflictError: `expected` does not hold.
            ConfigObstructedError: As `save`.
        """

        def delete(writer: FileWriter) -> None:
            stored = self._stored(writer, key, deadline)
            check_expected(key, expected=expected, current=stored.version)
            if stored.contents:
                if len(stored.contents) > 1:
                    raise in_several_files(key, stored.contents)
                used_name = next(iter(stored.contents))
                _check_removable(key, [one for one in stored.names if one != used_name])
                _check_one_document(key, stored)
                used = next(iter(stored.contents.values()))
                condition = ANY if expected is ANY else used
                with self._loss.removal(deadline=deadline):
                    writer.remove(stored.names[::-1], condition=condition, note=note)

        if self._tree.label not in {None, key.label}:
            check_expected(key, expected=expected, current=None)
        else:
            self._write(key, delete, deadline)

    def _check_covered(self, key: ConfigKey, stored: _StoredFiles, expected: Expected) -> None:
        """Refuse a condition on several files if other processes may write one of them.

        Raises:
            ConfigObstructedError: The tree cannot check the condition on all files.
        """
        if len(stored.contents) > 1 and expected is not ANY and not self._tree.locks_writers:
            first, *others = stored.contents
            raise ConfigObstructedError(
                f"{key.label}/{first}",
                f"the bundle is also in {', '.join(others)}; this store cannot check a condition "
                "on several files, but can save without a condition",
            )

    def _new_name(self, key: ConfigKey) -> str:
        """Return the path of the file of a new bundle: in the first location without `*`.

        Raises:
            UnsupportedOperationError: There is no such location.
        """
        locations = self._layout.search.locations(RequestedNames.of_key(key), key.label)
        directory = next((one for one in locations if "*" not in one), None)
        if directory is None:
            raise UnsupportedOperationError(
                "a store without a search location for this bundle that names one directory",
                "saving a new bundle",
            )
        names = self._layout.file_names(key)
        new = next(name for name in names if name.endswith(self._layout.new_suffix))
        return below(directory, new)

    def _write(
        self, key: ConfigKey, write: Callable[[FileWriter], _Result], deadline: float
    ) -> _Result:
        """Write; repeat if the files changed in the meantime, until the deadline."""
        attempt = 0
        while True:
            try:
                with self._tree.writer(key, deadline=deadline) as writer:
                    return write(writer)
            except FilesChangedError as error:
                if time.monotonic() >= deadline:
                    raise BackendUnavailableError(f"{error.reason}; nothing was written") from error
            longest = min(_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS)
            time.sleep(longest * random.random())  # noqa: S311 - spreads writers
            attempt = min(attempt + 1, 10)

    def _stored(self, writer: FileWriter, key: ConfigKey, deadline: float) -> _StoredFiles:
        names = writer.present(key, [*BundlePaths(writer, self._layout).of(key)])
        contents: dict[str, FileContent] = {}
        for name in names:
            try:
                content = writer.read(name, limit=MAX_DOCUMENT_BYTES)
            except ConfigFormatError as error:
                raise error.at(f"{key.label}/{name}") from error
            if content is not None and content is not UNCHANGED:
                contents[name] = content
                if not self._layout.reads_all:
                    break
        if not contents:
            self._loss.check(deadline=deadline)
        return _StoredFiles(names=names, contents=contents)

    def _names(self, label: str, deadline: float) -> Collection[str]:
        deep = not self._layout.search.is_root_only
        listing = self._tree.listing(label, with_versions=False, deep=deep, deadline=deadline)
        return listing.get(label) or ()

    def _check_label(self, label: str) -> None:
        only = self._tree.label
        if only not in {None, label}:
            raise InvalidConfigKeyError("label", label, f"this store has only the label '{only}'")


def _check_removable(key: ConfigKey, names: Iterable[str]) -> None:
    """Refuse to remove `.properties` files that another file hides.

    Raises:
        ConfigObstructedError: There is a `.properties` file.
    """
    for name in names:
        if name.endswith(PROPERTIES_SUFFIX):
            raise ConfigObstructedError(
                f"{key.label}/{name}",
                "another file of the bundle hides it, and such a .properties file is never removed",
            )


def _check_one_document(key: ConfigKey, stored: _StoredFiles) -> None:
    """Refuse to remove files of several documents.

    Raises:
        ConfigObstructedError: A file holds several documents.
    """
    for name, content in stored.contents.items():
        if has_several_documents(name, content):
            raise ConfigObstructedError(
                f"{key.label}/{name}",
                "it holds several documents, perhaps for other profiles, which would be lost",
            )
