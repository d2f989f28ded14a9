"""Which bundle a file belongs to, when its name can be read as several. Blocking."""

import time
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from pyfly.config_core import BackendUnavailableError, ConfigKey
from pyfly.config_server.files.bundle_paths import BundlePaths, ListedDirectories
from pyfly.config_server.files.file_tree import FileTree
from pyfly.config_server.files.layouts import Layout, ListedKey
from pyfly.config_server.files.loss import LossDetector
from pyfly.config_server.files.search_locations import below
from pyfly.config_server.storage import RequestedNames

__all__ = ["FileOwners"]

_Listed: TypeAlias = Mapping[str, ListedKey]
_MAX_LABELS: Final = 64
"""Listings that are kept."""


class FileOwners:
    """Tells which bundles a listing names for files. Safe for use from several threads.

    Args:
        tree: The tree of files.
        layout: The rules for file names.
        loss: Notices that all files are gone.
    """

    def __init__(self, tree: FileTree, layout: Layout, loss: LossDetector) -> None:
        self._tree = tree
        self._loss = loss
        self._layout = layout
        self._kept: dict[str, tuple[float, frozenset[str], _Listed]] = {}

    def by_name(self, key: ConfigKey) -> tuple[ConfigKey, ...]:
        """Return what `of_bundles` returns, in a layout that splits names without a listing."""
        path = self._layout.file_names(key)[0]
        row = self._layout.listed(key.label, [path]).get(path)
        return (key if row is None else row.key,)

    def of_bundles(
        self,
        keys: Sequence[ConfigKey],
        names: RequestedNames | None,
        *,
        max_age: float,
        deadline: float,
    ) -> list[tuple[ConfigKey, ...]]:
        """Return for each bundle what a listing names for its files, as if it were stored."""
        return [self._of_bundle(key, names, max_age, deadline) for key in keys]

    def of_file(
        self, label: str, path: str, *, max_age: float, deadline: float
    ) -> tuple[ConfigKey, ...]:
        """Return the bundles of a plain file; empty if it is not the file of a bundle.

        Where a listing marks a guess these are all bundles that a fetch may read from it.
        """
        name = path.rpartition("/")[2]
        if not self._layout.readings(label, name):
            return ()
        label, path = self._inner(label, path, max_age, deadline)
        row = self._row(label, path, max_age, deadline)
        if row is None:
            return ()
        if not row.is_guess:
            return (row.key,)
        readings = (
            key
            for below_location in self._layout.search.names_below(label, path)
            for key in self._layout.readings(label, below_location)
        )
        return tuple(dict.fromkeys((row.key, *readings)))

    def moved_by(
        self, key: ConfigKey, *, is_removed: bool, deadline: float
    ) -> tuple[ConfigKey, ...]:
        """Return the bundles that lose a file in a listing when a bundle is made or removed."""
        if self._layout.splits_by_name:
            return ()
        present, listed = self._listed(key.label, 0, deadline)
        paths = [*BundlePaths(ListedDirectories(present), self._layout).of(key)]
        own = present.intersection(paths)
        if own and not is_removed:
            return ()
        later = present - own if is_removed else present.union(self._new(paths))
        names = self._layout.listed(key.label, later)
        lost = (
            owner
            for path, row in listed.items()
            if path not in own
            for owner in _named(row)
            if owner not in _named(names[path])
        )
        return tuple(dict.fromkeys(lost))

    def _row(self, label: str, path: str, max_age: float, deadline: float) -> ListedKey | None:
        """Return what a listing names for a file, as if it existed."""
        if self._layout.splits_by_name:
            return self._layout.listed(label, [path]).get(path)
        present, listed = self._listed(label, max_age, deadline)
        if path not in present:
            present, listed = self._listed(label, 0, deadline)
        if path not in present:
            listed = self._layout.listed(label, {*present, path})
        return listed.get(path)

    def _of_bundle(
        self, key: ConfigKey, names: RequestedNames | None, max_age: float, deadline: float
    ) -> tuple[ConfigKey, ...]:
        layout, label = self._layout, key.label
        if layout.splits_by_name and "/" not in key.application:
            return self.by_name(key)
        present, listed = self._listed(label, max_age, deadline)
        paths = BundlePaths(ListedDirectories(present), layout).of(key, names)
        used = [
            path
            for path in paths
            if path in present or self._inner(label, path, max_age, deadline)[0] != label
        ]
        if not used:  # as if it were stored: the file of a new bundle, in the first location
            new = self._new([*paths])
            used, listed = new, layout.listed(label, {*present, *new})
        rows = [self._owner(key, path, listed, max_age, deadline) for path in used]
        owners = [one for row in rows for one in _named(row)]
        return tuple(dict.fromkeys(owners)) or (key,)

    def _new(self, paths: Sequence[str]) -> list[str]:
        """Return the path at which a new bundle is stored."""
        return [path for path in reversed(paths) if path.endswith(self._layout.new_suffix)][:1]

    def _owner(
        self, key: ConfigKey, path: str, listed: _Listed, max_age: float, deadline: float
    ) -> ListedKey:
        label, name = self._inner(key.label, path, max_age, deadline)
        if label != key.label:
            _, listed = self._listed(label, max_age, deadline)
        return listed.get(name) or ListedKey(key=key)

    def _inner(self, label: str, path: str, max_age: float, deadline: float) -> tuple[str, str]:
        """Return the label and the path of a file in a directory that is a label itself."""
        directory, slash, name = path.rpartition("/")
        if not slash or not self._layout.has_label_directories:
            return label, path
        inner = below(label, directory)
        present, _ = self._listed(inner, max_age, deadline)
        if name not in present:
            present, _ = self._listed(inner, 0, deadline)
        return (inner, name) if name in present else (label, path)

    def _listed(
        self, label: str, max_age: float, deadline: float
    ) -> tuple[frozenset[str], _Listed]:
        """Return the paths of a label, and those of bundles with what a listing names for them."""
        now = time.monotonic()
        kept = self._kept.get(label)
        if kept is not None and now - kept[0] < max_age:
            return kept[1:]
        deep = not self._layout.search.is_root_only
        try:
            listing = self._tree.listing(label, with_versions=False, deep=deep, deadline=deadline)
            if listing.get(label):
                self._loss.saw_content()
            else:  # what is lost is served from memory, and has the owners that it had
                self._loss.check(deadline=deadline)
        except BackendUnavailableError:
            if kept is None:
                raise
            return kept[1:]  # the last good answers are served, too
        present = frozenset(listing.get(label) or ())
        listed = self._layout.listed(label, present)
        if len(self._kept) >= _MAX_LABELS:
            self._kept.clear()
        self._kept[label] = (now, present, listed)
        return present, listed


def _named(row: ListedKey) -> tuple[ConfigKey, ...]:
    return (row.key,) if row.also is None else (row.key, row.also)
