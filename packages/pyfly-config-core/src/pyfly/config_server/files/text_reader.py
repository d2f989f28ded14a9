"""Reading the bundles and plain files of a tree. Blocking."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigFormatError,
    ConfigKey,
    InvalidConfigKeyError,
    check_path,
)
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES, MAX_PATH_LENGTH
from pyfly.config_server.files.bundle_files import (
    ParsedFile,
    bundle_of,
    parse_file,
)
from pyfly.config_server.files.bundle_paths import BundlePaths
from pyfly.config_server.files.file_tree import (
    UNCHANGED,
    FilesChangedError,
    FileTree,
    FileView,
    IrregularFileError,
)
from pyfly.config_server.files.layouts import Layout
from pyfly.config_server.files.loss import LossDetector
from pyfly.config_server.files.parse_cache import ParseCache
from pyfly.config_server.files.search_locations import below
from pyfly.config_server.storage import (
    ConfigResource,
    ConfigSource,
    RequestedNames,
    ResourceEntry,
    check_stored_bytes,
)

__all__ = ["MAX_RESOURCE_BYTES", "TextReader", "repeated"]

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
            found |= self.files([key for key in keys if key.label == label], deadline)
        return [bundle_of(key, files) if (files := found.get(key)) else None for key in keys]

    def fetch_requested(
        self, keys: Sequence[ConfigKey], names: RequestedNames, *, deadline: float
    ) -> list[ConfigSource | None]:
        """Return bundles of one label as a request for `names` finds them.

        Raises:
            ConfigFormatError: A file does not parse, a location matches too many directories, or
                there is too much text.
            UnsettledFileError: A file is being written; try again.
        """
        found = self.files(keys, deadline, names)
        return [bundle_of(key, files) if (files := found.get(key)) else None for key in keys]

    def files(
        self, keys: Sequence[ConfigKey], deadline: float, names: RequestedNames | None = None
    ) -> dict[ConfigKey, list[ParsedFile]]:
        """Return the files of bundles of one label, the lowest precedence first.

        Args:
            keys: The bundles; not empty.
            deadline: A time of the monotonic clock.
            names: The names in the request; `None` if each bundle is requested alone.
        """

        def read() -> dict[ConfigKey, list[ParsedFile]]:
            with self._tree.view(keys[0].label, deadline=deadline) as view:
                if view is None:
                    return {}
                paths = BundlePaths(view, self._layout)
                found: dict[ConfigKey, list[ParsedFile]] = {}
                size = 0
                for key in keys:
                    files = self._files_of(view, key, paths.of(key, names))
                    size += sum(file.size for file in files)
                    if names is not None:
                        check_stored_bytes(size)
                    if files:
                        found[key] = files
                return found

        return self.checked(repeated(read), deadline)

    def one_file(self, label: str, name: str, deadline: float) -> ParsedFile | None:
        """Return the file at a path, or `None`."""

        def read() -> ParsedFile | None:
            where = f"{label}/{name}"
            with self._tree.view(label, deadline=deadline) as view:
                known = self._cache.get(where)
                return None if view is None else self._file(view, where, name, known)

        return repeated(read)

    def paths(self, key: ConfigKey, *, deadline: float) -> list[str]:
        """Return the paths of all files that may hold a bundle, the highest precedence first."""
        with self._tree.view(key.label, deadline=deadline) as view:
            return [] if view is None else [*BundlePaths(view, self._layout).of(key)]

    def checked(self, found: _Result, deadline: float) -> _Result:
        """Return what was found.

        Raises:
            BackendUnavailableError: Nothing was found, because all files are gone.
        """
        if found:
            self._loss.saw_content()
        else:
            self._loss.check(deadline=deadline)
        return found

    def _files_of(
        self, view: FileView, key: ConfigKey, paths: Mapping[str, int]
    ) -> list[ParsedFile]:
        names = view.present(key, [*paths])
        found: list[ParsedFile] = []
        size = 0
        for position, name in enumerate(names):
            known = self._cache.get(f"{key.label}/{name}")
            file = self._file(view, f"{key.label}/{name}", name, known)
            if file is None:
                continue
            size += file.size
            check_stored_bytes(size)
            found.append(file.at_place(paths[name]))
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
        same = known if known is not None and known.version == content.version else None
        if same is not None and not content.is_settled:
            return same
        if same is None:
            parsed = parse_file(content, name=name, where=where)
        else:
            parsed = replace(same, identity=content.identity)
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
                found = None if view is None else _resource(view, label, path)
            return None if found is None else replace(found, path=None)

        return self.checked(repeated(read), deadline)

    def find_resource(
        self,
        label: str,
        paths: Sequence[str],
        names: RequestedNames,
        *,
        last_first: bool,
        deadline: float,
    ) -> ConfigResource | None:
        """Return the first plain file in the directories of a request, or `None`.

        Raises:
            ConfigFormatError: The file is larger than 10 MiB, or a location matches too many
                directories.
            UnsettledFileError: The file is being written; try again.
        """

        def read() -> ConfigResource | None:
            with self._tree.view(label, deadline=deadline) as view:
                if view is None:
                    return None
                search = self._layout.search
                directories = search.directories(names, label, view.directories)
                for directory in reversed(directories) if last_first else directories:
                    for path in paths:
                        found = _resource(view, label, below(directory, path))
                        if found is not None:
                            return found
                return None

        return self.checked(repeated(read), deadline)

    def resources(self, label: str, *, deadline: float) -> list[ResourceEntry]:
        """Return the plain files of a label, ordered by path, bundles included."""
        files = self._tree.files(label, deadline=deadline)
        found = [entry for entry in files if _is_path(entry.path)]
        return self.checked(sorted(found, key=lambda entry: entry.path), deadline)


def repeated(read: Callable[[], _Result]) -> _Result:
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


def _resource(view: FileView, label: str, path: str) -> ConfigResource | None:
    """Return a plain file, `None` if there is no regular file at the path.

    Raises:
        ConfigFormatError: The file is larger than 10 MiB.
    """
    if len(path) > MAX_PATH_LENGTH:
        return None
    try:
        content = view.read(path, limit=MAX_RESOURCE_BYTES)
    except IrregularFileError:
        return None
    except ConfigFormatError as error:
        raise error.at(f"{label}/{path}") from error.__cause__
    if content is None or content is UNCHANGED:
        return None
    return ConfigResource(content=content.data, modified=content.modified, path=path)


def _warn_of_ignored(label: str, names: Sequence[str]) -> None:
    if len(names) > 1:
        _LOG.warning("%s/%s is used; ignored: %s", label, names[0], ", ".join(names[1:]))


def _is_path(text: str) -> bool:
    try:
        check_path(text)
    except InvalidConfigKeyError:
        return False
    return True
