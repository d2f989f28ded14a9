"""Reading and listing the bundles in the text files of a tree. Blocking."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigError,
    ConfigFormatError,
    ConfigKey,
    InvalidConfigKeyError,
    check_path,
)
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.files.bundle_files import (
    ParsedFile,
    bundle_of,
    bundle_version,
    parse_file,
)
from pyfly.config_server.files.file_tree import (
    UNCHANGED,
    FilesChangedError,
    FileTree,
    FileView,
    IrregularFileError,
    Listing,
)
from pyfly.config_server.files.layouts import Layout, ListedKey
from pyfly.config_server.files.loss import LossDetector
from pyfly.config_server.files.parse_cache import ParseCache
from pyfly.config_server.files.settling import settled
from pyfly.config_server.storage import (
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ResourceEntry,
)

__all__ = ["MAX_RESOURCE_BYTES", "TextReader"]

_LOG: Final = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_Versions = Mapping[str, str | None]

MAX_RESOURCE_BYTES: Final = 10_485_760
"""The largest size of a plain file."""
_TRIES: Final = 3


class TextReader:
    """Reads the bundles and plain files of a tree. Safe for use from several threads.

    The deadlines of all methods are times of the monotonic clock, and are passed to the tree.

    Args:
        tree: The tree of files.
        layout: The rules for file names.
        loss: Notices that all files are gone.
    """

    def __init__(self, tree: FileTree, layout: Layout, loss: LossDetector) -> None:
        self._tree = tree
        self._layout = layout
        self._loss = loss
        self._cache = ParseCache()

    def fetch_many(
        self, keys: Sequence[ConfigKey], *, deadline: float
    ) -> list[ConfigSource | None]:
        """Return several bundles, `None` for absent ones. Each label is opened once.

        Raises:
            ConfigFormatError: A file does not parse.
            UnsettledFileError: A file is being written; try again.
        """
        found: dict[ConfigKey, list[ParsedFile]] = {}
        for label in dict.fromkeys(key.label for key in keys):
            found |= self._files([key for key in keys if key.label == label], deadline)
        return [bundle_of(key, files) if (files := found.get(key)) else None for key in keys]

    def _fetch(self, key: ConfigKey, deadline: float) -> ConfigSource | None:
        return self.fetch_many([key], deadline=deadline)[0]

    def _files(
        self, keys: Sequence[ConfigKey], deadline: float
    ) -> dict[ConfigKey, list[ParsedFile]]:
        """Return the files of bundles of one label, the lowest precedence first."""

        def read() -> dict[ConfigKey, list[ParsedFile]]:
            with self._tree.view(keys[0].label, deadline=deadline) as view:
                if view is None:
                    return {}
                return {key: files for key in keys if (files := self._files_of(view, key))}

        return self._checked(_repeated(read), deadline)

    def _checked(self, found: _Result, deadline: float) -> _Result:
        """Return what was found.

        Raises:
            BackendUnavailableError: Nothing was found, because all files are gone.
        """
        if found:
            self._loss.saw_content()
        else:
            self._loss.check(deadline=deadline)
        return found

    def _files_of(self, view: FileView, key: ConfigKey) -> list[ParsedFile]:
        names = view.present(key, self._layout.file_names(key))
        found: list[ParsedFile] = []
        for position, name in enumerate(names):
            known = self._cache.get(f"{key.label}/{name}")
            file = self._file(view, f"{key.label}/{name}", name, known)
            if file is None:
                continue
            found.append(file)
            if not self._layout.reads_all:
                if file is not known:
                    _warn_of_ignored(key.label, names[position:])
                break
        return found[::-1]

    def _file(
        self, view: FileView, where: str, name: str, known: ParsedFile | None
    ) -> ParsedFile | None:
        identity = None if known is None else known.identity
        try:
            content = view.read(name, limit=MAX_DOCUMENT_BYTES, known=identity)
        except ConfigFormatError as error:
            raise error.at(where) from error.__cause__
        if content is None or content is UNCHANGED:
            return None if content is None else known
        parsed = parse_file(content, name=name, where=where)
        if content.is_settled:
            self._cache.put(where, parsed)
        return parsed

    # --- plain files ------------------------------------------------------------------

    def open_resource(self, label: str, path: str, *, deadline: float) -> ConfigResource | None:
        """Return a plain file, or `None`.

        Raises:
            ConfigFormatError: The file is larger than 10 MiB.
            UnsettledFileError: The file is being written; try again.
        """

        def read() -> ConfigResource | None:
            with self._tree.view(label, deadline=deadline) as view:
                content = None if view is None else view.read(path, limit=MAX_RESOURCE_BYTES)
            if content is None or content is UNCHANGED:
                return None
            return ConfigResource(content=content.data, modified=content.modified)

        try:
            return self._checked(_repeated(read), deadline)
        except IrregularFileError:
            return None
        except ConfigFormatError as error:
            raise error.at(f"{label}/{path}") from error.__cause__

    def resources(self, label: str, *, deadline: float) -> list[ResourceEntry]:
        """Return the plain files of a label, ordered by path, without bundles."""
        found = [
            entry
            for entry in self._tree.files(label, deadline=deadline)
            if _is_path(entry.path) and not self._is_bundle(label, entry.path)
        ]
        return self._checked(sorted(found, key=lambda entry: entry.path), deadline)

    def _is_bundle(self, label: str, path: str) -> bool:
        return "/" not in path and bool(self._layout.readings(label, path))

    # --- listing ----------------------------------------------------------------------

    def has_label(self, label: str, *, deadline: float) -> bool:
        """True if the label exists."""
        found = self._tree.has_label(label, deadline=deadline)
        return self._checked(found, deadline) if self._tree.label is None else found

    def labels(self, *, deadline: float) -> list[str]:
        """Return the labels that have a bundle or cannot be read, sorted."""
        listing = self._tree.listing(None, with_versions=False, deadline=deadline)
        found = sorted(
            label
            for label, names in listing.items()
            if names is None or self._layout.keys(label, names)
        )
        return self._checked(found, deadline)

    def keys(
        self, label: str | None = None, after: ConfigKey | None = None, *, deadline: float
    ) -> list[ListedKey]:
        """Return the bundles after `after`, ordered by label, application, profile."""
        listing = self._tree.listing(label, with_versions=False, deadline=deadline)
        rows = self._checked([*self._rows(listing, label, after)], deadline)
        if not self._tree.is_slow:
            return [row for row, _ in rows]
        return [replace(row, file=self._only_file(row.key, names)) for row, names in rows]

    def _only_file(self, key: ConfigKey, listed: _Versions) -> str | None:
        used = self._used(key, listed)
        return used[0] if len(used) == 1 else None

    def _rows(
        self, listing: Listing, label: str | None, after: ConfigKey | None
    ) -> Iterator[tuple[ListedKey, _Versions]]:
        for found, versions in sorted(listing.items()):
            if versions is not None and label in {None, found}:
                for row in self._layout.keys(found, versions):
                    if after is None or row.key.sort_key > after.sort_key:
                        yield row, versions

    def listed_entries(
        self, label: str | None, after: ConfigKey | None, *, deadline: float
    ) -> list[ConfigEntry]:
        """Return the names and versions of a listing, without reading files."""
        listing = self._tree.listing(label, with_versions=True, deadline=deadline)
        rows = self._checked([*self._rows(listing, label, after)], deadline)
        return [
            ConfigEntry(
                key=row.key, version=self._listed_version(row.key, versions), is_guess=row.is_guess
            )
            for row, versions in rows
        ]

    def _listed_version(self, key: ConfigKey, versions: _Versions) -> str | None:
        used = self._used(key, versions)
        known = {name: version for name in used if (version := versions[name]) is not None}
        return bundle_version(known) if known else None

    def _used(self, key: ConfigKey, listed: _Versions) -> list[str]:
        names = [name for name in self._layout.file_names(key) if name in listed]
        return names if self._layout.reads_all else names[:1]

    def entries(self, rows: Sequence[ListedKey], *, deadline: float) -> list[ConfigEntry]:
        """Return the versions and errors of bundles, without removed bundles. Reads files."""
        return [entry for row in rows if (entry := self._entry(row, deadline)) is not None]

    def _entry(self, row: ListedKey, deadline: float) -> ConfigEntry | None:
        key = row.key
        try:
            files = settled(lambda: self._files([key], deadline)).get(key)
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
            file = _repeated(partial(self._one_file, row.key.label, row.file, deadline))
            if file is not None:
                return bundle_of(row.key, [file])
        return self._fetch(row.key, deadline)

    def _one_file(self, label: str, name: str, deadline: float) -> ParsedFile | None:
        where = f"{label}/{name}"
        with self._tree.view(label, deadline=deadline) as view:
            known = self._cache.get(where)
            return None if view is None else self._file(view, where, name, known)


def _repeated(read: Callable[[], _Result]) -> _Result:
    """Return the result of a read, repeated a few times if the files change in the meantime."""
    for _ in range(_TRIES - 1):
        try:
            return read()
        except FilesChangedError:
            continue
    try:
        return read()
    except FilesChangedError as error:
        raise BackendUnavailableError(error.reason) from error


def _warn_of_ignored(label: str, names: Sequence[str]) -> None:
    if len(names) > 1:
        _LOG.warning("%s/%s is used; ignored: %s", label, names[0], ", ".join(names[1:]))


def _is_path(text: str) -> bool:
    try:
        check_path(text)
    except InvalidConfigKeyError:
        return False
    return True
