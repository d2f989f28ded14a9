"""Reading and writing the bundles of a directory tree, one call at a time, blocking.

`FilesystemConfigBackend` runs these methods in threads.
"""

import copy
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from pyfly.config_core import ConfigError, ConfigFormatError, ConfigKey
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.files import safe_io
from pyfly.config_server.files.layouts import (
    file_names,
    keys_of,
    source_of,
)
from pyfly.config_server.formats.text import parse_documents
from pyfly.config_server.storage import (
    ConfigDocument,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    Expected,
    ResourceEntry,
)
from pyfly.config_server.stores.filesystem.resources import list_resources, read_resource
from pyfly.config_server.stores.filesystem.tree import Tree
from pyfly.config_server.stores.filesystem.writes import BundleWriter, version_of, write_deadline

_LOG = logging.getLogger(__name__)

_CACHED_LABELS: Final = 64
_CACHED_FILES: Final = 4096
_CACHED_BYTES: Final = 8_388_608  # of text; parsed it takes some three times as much
_SETTLED_NANOSECONDS: Final = 2_000_000_000
_PAUSE_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """What a file held when it had `identity`."""

    identity: safe_io.FileIdentity
    version: str
    documents: tuple[ConfigDocument, ...] = field(repr=False)
    error: ConfigFormatError | None = None
    """Why it does not parse: a broken text is not parsed again for every request."""

    def checked(self) -> "_Parsed":
        """Return this.

        Raises:
            ConfigFormatError: The text does not parse.
        """
        if self.error is not None:
            raise copy.copy(self.error)
        return self


class BundleFiles:
    """The bundle files below one root. Safe to use from several threads.

    Args:
        root: The directory of all.
        flat_label: The only label, when the files lie in the root itself; `None` when there is
            a directory for each label.
    """

    def __init__(self, root: Path, *, flat_label: str | None = None) -> None:
        self.root = root
        self._tree = Tree(root=root, flat_label=flat_label)
        self._writer = BundleWriter(self._tree)
        self._parsed: OrderedDict[str, _Parsed] = OrderedDict()
        self._parsed_bytes = 0
        self._listed: OrderedDict[str, tuple[safe_io.FileIdentity, frozenset[str]]] = OrderedDict()
        self._guard = threading.Lock()

    # --- reading ----------------------------------------------------------------------

    def has_label(self, label: str) -> bool:
        """True if the label is a directory."""
        with safe_io.translated(f"open '{label}'"):
            directory = self._tree.open(label)
            if directory is not None:
                os.close(directory)
        return directory is not None

    def check(self) -> None:
        """Return when the root can be opened and listed."""
        with (
            safe_io.translated("list the root"),
            safe_io.opened(safe_io.open_root(self.root)) as directory,
            os.scandir(directory) as entries,
        ):
            next(entries, None)

    def fetch_many(self, keys: Sequence[ConfigKey]) -> list[ConfigSource | None]:
        """Read several bundles; each label's directory is opened once.

        Raises:
            UnsettledFileError: A file is being written; try again.
        """
        found: list[ConfigSource | None] = [None] * len(keys)
        for label in dict.fromkeys(key.label for key in keys):
            with safe_io.translated(f"open '{label}'"):
                directory = self._tree.open(label)
            if directory is None:
                continue
            with safe_io.translated(f"read '{label}'"), safe_io.opened(directory):
                for position, key in enumerate(keys):
                    if key.label == label:
                        found[position] = self._fetch(directory, key, file_names(key))
        return found

    def open_resource(self, label: str, path: str) -> ConfigResource | None:
        """Read a plain file of a label."""
        if self._tree.flat_label not in {None, label}:
            return None
        return read_resource(self.root, self._tree.path(label, path))

    def resources(self, label: str) -> list[ResourceEntry]:
        """List the plain files of a label, ordered by path; bundles are not among them."""
        if self._tree.flat_label not in {None, label}:
            return []
        return list_resources(self.root, self._tree.path(label, "").rstrip("/"))

    def _fetch(self, directory: int, key: ConfigKey, names: Sequence[str]) -> ConfigSource | None:
        present = self._names(directory, key.label)
        for name in names:
            if present is not None and "/" not in name and name not in present:
                continue
            known = self._recall(f"{key.label}/{name}")
            parsed = self._read(directory, key.label, name, known)
            if parsed is not None:
                if parsed is not known:
                    _warn_of_shadowed(directory, key.label, name, names)
                return source_of(
                    key,
                    name=name,
                    version=parsed.version,
                    documents=parsed.documents,
                    size=parsed.identity.size,
                )
        return None

    def _read(self, directory: int, label: str, name: str, known: _Parsed | None) -> _Parsed | None:
        where = f"{label}/{name}"
        with safe_io.translated(f"read '{where}'"):
            if known is not None and safe_io.identity_at(directory, name) == known.identity:
                return known.checked()
            path = self._tree.path(label, name)
            descriptor = safe_io.open_file(directory, name, root=self.root, path=path)
            if descriptor is None:
                return None
            with safe_io.opened(descriptor):
                try:
                    return self._parse(descriptor, where, known).checked()
                except ConfigFormatError as error:
                    raise error.at(where) from error.__cause__

    def _parse(self, descriptor: int, where: str, known: _Parsed | None) -> _Parsed:
        identity = safe_io.file_identity(descriptor, limit=MAX_DOCUMENT_BYTES)
        if known is not None and known.identity == identity:
            return known
        content = safe_io.read_file(descriptor, limit=MAX_DOCUMENT_BYTES, where=where)
        documents: tuple[ConfigDocument, ...] = ()
        failure: ConfigFormatError | None = None
        try:
            documents = parse_documents(content.data, suffix=Path(where).suffix)
        except ConfigFormatError as error:
            failure = error.at(where)
        parsed = _Parsed(
            identity=content.identity,
            version=version_of(content.data),
            documents=documents,
            error=failure,
        )
        self._remember(where, parsed)
        return parsed

    def _names(self, directory: int, label: str) -> frozenset[str] | None:
        """Return the names in a directory that has not changed of late; `None` in another."""
        identity = safe_io.FileIdentity.of(os.fstat(directory))
        with self._guard:
            known = self._listed.get(label)
        if known is not None and known[0] == identity:
            return known[1]
        if not _is_settled(identity):
            return None
        names = frozenset(os.listdir(directory))
        with self._guard:
            self._listed[label] = (identity, names)
            while len(self._listed) > _CACHED_LABELS:
                self._listed.popitem(last=False)
        return names

    def _recall(self, where: str) -> _Parsed | None:
        with self._guard:
            parsed = self._parsed.get(where)
            if parsed is not None:
                self._parsed.move_to_end(where)
            return parsed

    def _remember(self, where: str, parsed: _Parsed) -> None:
        if not _is_settled(parsed.identity):
            return
        with self._guard:
            before = self._parsed.pop(where, None)
            self._parsed[where] = parsed
            self._parsed_bytes += parsed.identity.size - (before.identity.size if before else 0)
            while len(self._parsed) > _CACHED_FILES or self._parsed_bytes > _CACHED_BYTES:
                _, dropped = self._parsed.popitem(last=False)
                self._parsed_bytes -= dropped.identity.size

    # --- listing ----------------------------------------------------------------------

    def labels(self) -> list[str]:
        """Return the labels that carry a bundle, sorted."""
        return [label for label, names in self._tree.labels() if keys_of(label, names)]

    def keys(self, label: str | None = None, after: ConfigKey | None = None) -> list[ConfigKey]:
        """Return every key that comes after `after`, ordered by label, application, profile."""
        return [
            key
            for found, names in self._tree.labels()
            if label is None or found == label
            for key in keys_of(found, names)
            if after is None or key.sort_key > after.sort_key
        ]

    def entries(self, keys: Sequence[ConfigKey]) -> list[ConfigEntry]:
        """Return the versions of `keys` and what is wrong; what has vanished is left out."""
        return [entry for key in keys if (entry := self._entry(key)) is not None]

    def _entry(self, key: ConfigKey) -> ConfigEntry | None:
        try:
            (source,) = safe_io.settled(lambda: self.fetch_many([key]))
        except ConfigError as error:
            return ConfigEntry(key=key, version=self._version_of(key), error=str(error))
        return None if source is None else ConfigEntry(key=key, version=source.version)

    def _version_of(self, key: ConfigKey) -> str | None:
        """Return the version of a file that does not parse, so that it can be replaced."""
        try:
            return self._writer.stored_version(key)
        except ConfigError:
            return None

    def sources(self, keys: Sequence[ConfigKey]) -> list[ConfigSource]:
        """Read `keys` one by one; what cannot be read is logged and left out."""
        found: list[ConfigSource] = []
        for key in keys:
            try:
                (source,) = safe_io.settled(partial(self.fetch_many, [key]))
                found += [] if source is None else [source]
            except ConfigError as error:
                _LOG.warning("left out of the listing: %s", error)
        return found

    # --- writing ----------------------------------------------------------------------

    def save(self, source: ConfigSource, expected: Expected, deadline: float | None = None) -> str:
        """Replace the file that a reader uses, in its format; return the new version."""
        return self._writer.save(source, expected, deadline=deadline or write_deadline())

    def delete(self, key: ConfigKey, expected: Expected, deadline: float | None = None) -> None:
        """Remove the files of a bundle; the label goes with its last file."""
        self._writer.delete(key, expected, deadline=deadline or write_deadline())


def _is_settled(identity: safe_io.FileIdentity) -> bool:
    """True if the next change will show: the last one is older than the clock's resolution."""
    touched = max(identity.modified, identity.changed)
    return time.time_ns() - touched >= _SETTLED_NANOSECONDS


def _warn_of_shadowed(directory: int, label: str, used: str, names: Sequence[str]) -> None:
    shadowed = [name for name in names[names.index(used) + 1 :] if _exists(directory, name)]
    if shadowed:
        _LOG.warning("%s/%s is used; ignored are %s", label, used, ", ".join(shadowed))


def _exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
