"""Listing the bundles in the text files of a tree. Blocking."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from pyfly.config_core import ConfigError, ConfigKey
from pyfly.config_server.files.bundle_files import bundle_of, bundle_version
from pyfly.config_server.files.bundle_paths import BundlePaths, ListedDirectories
from pyfly.config_server.files.file_tree import FileTree, Listing
from pyfly.config_server.files.layouts import Layout, ListedKey
from pyfly.config_server.files.settling import settled
from pyfly.config_server.files.text_reader import TextReader
from pyfly.config_server.storage import ConfigEntry, ConfigSource

__all__ = ["TextLister"]

_LOG: Final = logging.getLogger(__name__)

_Versions: TypeAlias = Mapping[str, str | None]


class TextLister:
    """Lists the bundles of a tree. Safe for use from several threads.

    The deadlines of all methods are times of the monotonic clock, and are passed to the tree.

    Args:
        tree: The tree of files.
        layout: The rules for file names.
        reader: Reads the bundles.
    """

    def __init__(self, tree: FileTree, layout: Layout, reader: TextReader) -> None:
        self._tree = tree
        self._layout = layout
        self._reader = reader

    def has_label(self, label: str, *, deadline: float) -> bool:
        """True if the label exists."""
        found = self._tree.has_label(label, deadline=deadline)
        return self._reader.checked(found, deadline) if self._tree.label is None else found

    def labels(self, *, deadline: float) -> list[str]:
        """Return the labels that have a bundle or cannot be read, sorted."""
        listing = self._listing(None, deadline)
        found = sorted(
            label
            for label, names in listing.items()
            if names is None or self._layout.keys(label, names)
        )
        return self._reader.checked(found, deadline)

    def keys(
        self, label: str | None = None, after: ConfigKey | None = None, *, deadline: float
    ) -> list[ListedKey]:
        """Return the bundles after `after`, ordered by label, application, profile."""
        listing = self._listing(label, deadline)
        rows = self._reader.checked([*self._rows(listing, label, after)], deadline)
        if not self._tree.is_slow or self._is_deep:
            return [row for row, _ in rows]
        return [replace(row, file=listed.only_file(row.key)) for row, listed in rows]

    @property
    def _is_deep(self) -> bool:
        """True if there are files of bundles in subdirectories."""
        return not self._layout.search.is_root_only

    def _listing(
        self, label: str | None, deadline: float, *, with_versions: bool = False
    ) -> Listing:
        return self._tree.listing(
            label, with_versions=with_versions, deep=self._is_deep, deadline=deadline
        )

    def _rows(
        self, listing: Listing, label: str | None, after: ConfigKey | None
    ) -> Iterator[tuple[ListedKey, "_ListedFiles"]]:
        for found, versions in sorted(listing.items()):
            if versions is not None and label in {None, found}:
                listed = _ListedFiles(versions, self._layout)
                for row in self._layout.keys(found, versions):
                    if after is None or row.key.sort_key > after.sort_key:
                        yield row, listed

    def listed_entries(
        self, label: str | None, after: ConfigKey | None, *, deadline: float
    ) -> list[ConfigEntry]:
        """Return the names and versions of a listing, without reading files."""
        listing = self._listing(label, deadline, with_versions=True)
        rows = self._reader.checked([*self._rows(listing, label, after)], deadline)
        return [listed.entry(row) for row, listed in rows]

    def entries(self, rows: Sequence[ListedKey], *, deadline: float) -> list[ConfigEntry]:
        """Return the versions and errors of bundles, without removed bundles. Reads files."""
        return [entry for row in rows if (entry := self._entry(row, deadline)) is not None]

    def _entry(self, row: ListedKey, deadline: float) -> ConfigEntry | None:
        key = row.key
        try:
            files = settled(lambda: self._reader.files([key], deadline)).get(key)
        except ConfigError as error:
            return ConfigEntry(key=key, error=str(error), is_guess=row.is_guess)
        if not files:
            return None
        errors = [str(file.error) for file in files if file.error is not None]
        return ConfigEntry(
            key=key,
            version=bundle_version({file.name: file.version for file in files}),
            error="; ".join(errors) or None,
            is_guess=row.is_guess,
            files=tuple(file.name for file in reversed(files)),
        )

    def sources(self, rows: Sequence[ListedKey], *, deadline: float) -> list[ConfigSource]:
        """Return bundles. Unreadable bundles are logged and left out."""
        found: list[ConfigSource] = []
        for row in rows:
            try:
                source = settled(partial(self._listed, row, deadline))
            except ConfigError as error:
                _LOG.warning("left out of the listing: %s", error)
            else:
                found += [] if source is None else [source]
        return found

    def _listed(self, row: ListedKey, deadline: float) -> ConfigSource | None:
        """Return a bundle, from the file that the listing named if it still exists."""
        if row.file is not None:
            file = self._reader.one_file(row.key.label, row.file, deadline)
            if file is not None:
                return bundle_of(row.key, [file])
        return self._reader.fetch_many([row.key], deadline=deadline)[0]


class _ListedFiles:
    """The files of one label in a listing.

    Args:
        versions: The version of each file, if the listing has it.
        layout: The rules for file names.
    """

    def __init__(self, versions: _Versions, layout: Layout) -> None:
        self._versions = versions
        self._reads_all = layout.reads_all
        self._paths = BundlePaths(ListedDirectories(versions), layout)

    def only_file(self, key: ConfigKey) -> str | None:
        """Return the path of the only file that a fetch reads, `None` if there are several."""
        used = self._used(key)
        return used[0] if len(used) == 1 else None

    def entry(self, row: ListedKey) -> ConfigEntry:
        """Return the row of a listing, with the version if that is listed."""
        try:
            used = self._used(row.key)
        except ConfigError as error:
            return ConfigEntry(key=row.key, error=str(error), is_guess=row.is_guess)
        versions = self._versions
        known = {path: version for path in used if (version := versions[path]) is not None}
        return ConfigEntry(
            key=row.key,
            version=bundle_version(known) if known else None,
            is_guess=row.is_guess,
            files=tuple(used),
        )

    def _used(self, key: ConfigKey) -> list[str]:
        """Return the files that a fetch reads, the highest precedence first."""
        paths = [path for path in self._paths.of(key) if path in self._versions]
        return paths if self._reads_all else paths[:1]
