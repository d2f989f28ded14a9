"""Changes in a tree of text files, as changes of bundles, plain files and labels."""

import threading
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from pyfly.config_core import InvalidConfigKeyError, check_name, check_path
from pyfly.config_server.files.file_tree import FileChanges, FileTree
from pyfly.config_server.files.layouts import Layout
from pyfly.config_server.files.loss import LossDetector
from pyfly.config_server.files.pacing import paced
from pyfly.config_server.storage import (
    BundleChange,
    Change,
    ChangeBatch,
    ChangeJournal,
    EverythingChange,
    LabelChange,
    ResourceChange,
)

__all__ = ["TextChanges"]


_NAMED_FILES: Final = 1000
"""If more files changed, everything may have changed."""


class TextChanges:
    """Keeps the changes of the scans of a tree. Safe for use from several threads.

    Args:
        tree: The tree of files.
        layout: The rules for file names.
        loss: Notices that all files are gone.
    """

    def __init__(self, tree: FileTree, layout: Layout, loss: LossDetector) -> None:
        self._tree = tree
        self._layout = layout
        self._loss = loss
        self._journal: ChangeJournal | None = None
        self._guard = threading.Lock()

    def since(self, cursor: str | None, *, deadline: float) -> ChangeBatch:
        """Scan the tree; return the present cursor and the changes since `cursor`.

        Raises:
            BackendUnavailableError: All files are gone. The next call that succeeds has the
                changes of this scan.
        """
        with self._guard:
            found = self._tree.changes(deadline=deadline)
            if self._journal is None:
                self._journal = ChangeJournal(found.cursor)
            self._journal.append(found.cursor, self._changes(found))
            self._loss.check(deadline=deadline)
            return self._journal.since(cursor)

    def _changes(self, found: FileChanges) -> Iterator[Change]:
        if len(found.paths) > _NAMED_FILES:
            yield EverythingChange()
            return
        for path in paced(found.paths):
            yield from self._changes_of(path)
        if self._tree.label is None:
            for directory in found.directories:
                if _is_place(directory, None):
                    yield LabelChange(label=directory)

    def _changes_of(self, path: str) -> Iterator[Change]:
        """Yield the changes of a file, as the whole path and as a name in each location."""
        for label, name in self._places(path):
            searched = [*self._layout.search.names_below(label, name)]
            for path_below in dict.fromkeys((name, *searched)):
                if _is_place(label, path_below):
                    yield ResourceChange(label=label, path=path_below)
            for path_below in searched:
                if _is_place(label, path_below):
                    for key in self._layout.readings(label, path_below):
                        yield BundleChange(key=key)

    def _places(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield the possible labels of a file, each with the path below that label."""
        if self._tree.label is not None:
            yield self._tree.label, path
            return
        for parent in PurePosixPath(path).parents[:-1]:
            yield str(parent), str(PurePosixPath(path).relative_to(parent))


def _is_place(label: str, path: str | None) -> bool:
    """True if a request can have these names."""
    try:
        check_name("label", label)
        if path is not None:
            check_path(path)
    except InvalidConfigKeyError:
        return False
    return True
