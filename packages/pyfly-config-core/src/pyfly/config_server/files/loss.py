"""Noticing that all files of a tree are gone. A store must not take that for an empty tree."""

import contextlib
import threading
import time
from collections.abc import Generator
from typing import Final

from pyfly.config_core import BackendUnavailableError
from pyfly.config_server.files.file_tree import FileTree

__all__ = ["LossDetector"]

_CONFIRM_SECONDS: Final = 0.05


class LossDetector:
    """Remembers that a tree had content. Safe for use from several threads.

    An unmounted volume leaves an empty directory behind. Therefore a tree that had content and has
    none is unreachable, unless a store removed the last bundle. A tree that never had content is
    empty.

    Args:
        tree: The tree of files.
    """

    def __init__(self, tree: FileTree) -> None:
        self._tree: Final = tree
        self._had_content = False
        self._is_known = False
        self._remedy = "restart the server"
        self._removals = 0
        self._guard = threading.Lock()

    def saw_content(self) -> None:
        """Remember that something was found or written."""
        self._had_content = True

    def expect_content(self, remedy: str) -> None:
        """Remember that a process before this one found something.

        Args:
            remedy: What to do if the tree is to be empty.
        """
        self._had_content = True
        self._remedy = remedy

    def check(self, *, deadline: float) -> None:
        """Return if the tree is as empty as it looks. Call this when nothing was found.

        Raises:
            BackendUnavailableError: The tree had content.
        """
        if not self._is_lost(deadline):
            return
        if not self._is_known:
            time.sleep(_CONFIRM_SECONDS)  # another process may be removing the last bundle
            if not self._is_lost(deadline):
                return
        self._is_known = True
        what = "label" if self._tree.label is None else "file"
        raise BackendUnavailableError(
            f"the store has no {what} any more, and no server has removed the last bundle; perhaps "
            f"a volume is not mounted. Restore the files, or {self._remedy} if the store is to be "
            "empty"
        )

    def _is_lost(self, deadline: float) -> bool:
        if not self._tree.looks_lost(deadline=deadline):
            self._had_content = True
            self._is_known = False
            return False
        return self._had_content and not self._removals

    @contextlib.contextmanager
    def removal(self, *, deadline: float) -> Generator[None]:
        """Accept an empty tree during and after the removal of a bundle by this store."""
        with self._guard:
            self._removals += 1
        try:
            yield
            if self._tree.looks_lost(deadline=deadline):
                self._had_content = False
        finally:
            with self._guard:
                self._removals -= 1
