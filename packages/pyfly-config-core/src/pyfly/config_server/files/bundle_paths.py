"""The paths below a label at which the files of a bundle are looked for."""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from pyfly.config_core import ConfigKey
from pyfly.config_server.files.layouts import Layout
from pyfly.config_server.files.search_locations import below
from pyfly.config_server.storage import RequestedNames

__all__ = ["BundlePaths", "ListedDirectories"]


class _Directories(Protocol):
    """The directories of one label."""

    def directories(self, path: str) -> Collection[str]:
        """As `FileView.directories`."""
        ...


class BundlePaths:
    """The paths of bundles of one label. Each directory is listed once.

    Args:
        view: The directories of the label.
        layout: The rules for file names and directories.
    """

    def __init__(self, view: _Directories, layout: Layout) -> None:
        self._layout = layout
        self._view = view

    def of(self, key: ConfigKey, names: RequestedNames | None = None) -> Mapping[str, int]:
        """Return the paths of a bundle with their places, the highest precedence first.

        Args:
            key: The bundle.
            names: The names in the request; `None` if nothing but the bundle is requested.

        Raises:
            InvalidConfigKeyError: A path would be too long.
            ConfigFormatError: A location matches too many directories.
        """
        files = self._layout.file_names(key)
        search = self._layout.search
        if search.is_root_only:
            return dict.fromkeys(files, 0)
        directories = search.directories(names or RequestedNames.of_key(key), key.label, self._list)
        return {
            below(directory, file): place
            for place, directory in reversed([*enumerate(directories)])
            for file in files
        }

    @functools.cached_property
    def _list(self) -> Callable[[str], Collection[str]]:
        return functools.cache(self._view.directories)


class ListedDirectories:
    """The directories that hold the files of a listing.

    Args:
        paths: The paths of the files.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = paths

    def directories(self, path: str) -> Collection[str]:
        """Return the names of the directories directly below a path."""
        return self._names.get(path, ())

    @functools.cached_property
    def _names(self) -> Mapping[str, Collection[str]]:
        found: dict[str, set[str]] = {}
        for path in {path.rpartition("/")[0] for path in self._paths}:
            parts = path.split("/") if path else []
            for depth, part in enumerate(parts):
                found.setdefault("/".join(parts[:depth]), set()).add(part)
        return found
