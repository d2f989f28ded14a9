"""The commits, directories and files of one clone, by their ids. Blocking."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from pyfly.config_core import BackendUnavailableError, ConfigFormatError
from pyfly.config_git._cat_file import CatFile, DamagedCloneError, TooLargeError
from pyfly.config_git._process import Git, GitError
from pyfly.config_git._trees import (
    EMPTY,
    Directory,
    RawEntry,
    TreeEntry,
    changed_names,
    header_of,
    headers_of,
    next_directory,
    parse_directory,
    raw_entries,
)

_MAX_TREE_BYTES: Final = 64 * 1024 * 1024
_MAX_COMMIT_BYTES: Final = 1024 * 1024
_CACHED_ROWS: Final = 200_000
_CACHED_COMMITS: Final = 10_000
_DEEPEST: Final = 64
_PEELED: Final = 16
_NEAR: Final = 100
_FOLLOWED: Final = 1_000
"""If more files changed, the rest is parsed when it is read."""


class Objects:
    """Reads objects by id; directories are cached. Safe for use from several threads.

    Every method takes a deadline of the monotonic clock, and may raise `DamagedCloneError`.

    Args:
        git: The repository.
    """

    def __init__(self, git: Git) -> None:
        self._git = git
        self.cat_file: Final = CatFile(git)
        self._trees: OrderedDict[str, Directory] = OrderedDict()
        self._rows = 0  # of all cached trees, with what is never served
        self._roots: OrderedDict[str, str] = OrderedDict()
        self._guard = threading.Lock()

    def root(self, commit: str, *, deadline: float) -> str:
        """Return the id of the root directory of a commit."""
        with self._guard:
            known = self._roots.get(commit)
        if known is not None:
            return known
        found = self.cat_file.read(commit, limit=_MAX_COMMIT_BYTES, deadline=deadline)
        tree = header_of(found.data, "tree") if found.kind == "commit" else None
        if tree is None:
            raise DamagedCloneError(f"{commit} is not a commit")
        with self._guard:
            self._roots[commit] = tree
            while len(self._roots) > _CACHED_COMMITS:
                self._roots.popitem(last=False)
        return tree

    def directory(self, tree: str, *, deadline: float) -> Mapping[str, TreeEntry]:
        """Return the files and directories of a tree."""
        return self._directory(tree, deadline=deadline).entries

    def _directory(
        self, tree: str, *, deadline: float, before: Directory | None = None
    ) -> Directory:
        """Return a tree. It is parsed faster if it differs little from another one."""
        with self._guard:
            known = self._trees.get(tree)
            if known is not None:
                self._trees.move_to_end(tree)
                return known
        data, size = self._tree(tree, deadline=deadline), len(tree) // 2
        if before is None:
            found = parse_directory(data, id_bytes=size)
        else:
            found = next_directory(before, data, id_bytes=size)
        with self._guard:
            if tree not in self._trees:
                self._trees[tree] = found
                self._rows += len(found.lengths) + 1
            while self._rows > _CACHED_ROWS and len(self._trees) > 1:
                _, dropped = self._trees.popitem(last=False)
                self._rows -= len(dropped.lengths) + 1
        return found

    def raw_directory(self, tree: str, *, deadline: float) -> list[RawEntry]:
        """Return all rows of a tree, as they are."""
        return raw_entries(self._tree(tree, deadline=deadline), id_bytes=len(tree) // 2)

    def _tree(self, tree: str, *, deadline: float) -> bytes:
        try:
            found = self.cat_file.read(tree, limit=_MAX_TREE_BYTES, deadline=deadline)
        except TooLargeError as error:
            raise ConfigFormatError("a directory of the repository is too large") from error
        if found.kind != "tree":
            raise DamagedCloneError(f"{tree} is not a directory")
        return found.data

    def find(self, commit: str, path: str, *, deadline: float) -> TreeEntry | None:
        """Return the file or directory at a path; `None` if there is none."""
        *parents, name = path.split("/")
        entries = self.directory(self.root(commit, deadline=deadline), deadline=deadline)
        for parent in parents:
            entry = entries.get(parent)
            if entry is None or not entry.is_directory:
                return None
            entries = self.directory(entry.object_id, deadline=deadline)
        return entries.get(name)

    def content(self, blob: str, *, limit: int, deadline: float) -> bytes:
        """Return the content of a file.

        Raises:
            TooLargeError: It is larger than `limit`.
        """
        return self.cat_file.read(blob, limit=limit, deadline=deadline).data

    def walk(self, tree: str, *, deadline: float, below: str = "") -> Iterator[str]:
        """Yield the paths of all files below a directory, without hidden ones."""
        if below.count("/") > _DEEPEST:
            return
        for name, entry in self.directory(tree, deadline=deadline).items():
            if name.startswith("."):
                continue
            if entry.is_directory:
                yield from self.walk(entry.object_id, deadline=deadline, below=f"{below}{name}/")
            else:
                yield below + name

    def changed_paths(self, old: str, new: str, *, deadline: float) -> Iterator[str]:
        """Yield the paths of files that differ between two commits, hidden ones, too.

        Raises:
            BackendUnavailableError: The deadline has passed.
        """
        roots = self.root(old, deadline=deadline), self.root(new, deadline=deadline)
        if roots[0] != roots[1]:
            yield from self._changes(*roots, deadline=deadline)

    def _changes(
        self, old: str | None, new: str | None, *, deadline: float, below: str = ""
    ) -> Iterator[str]:
        """Yield the paths that differ between two directories; `None` stands for an absent one."""
        if below.count("/") > _DEEPEST:
            return
        if time.monotonic() > deadline:
            raise BackendUnavailableError("the store did not answer in time")
        before = EMPTY if old is None else self._directory(old, deadline=deadline)
        after = EMPTY
        if new is not None:
            after = self._directory(new, deadline=deadline, before=before)
        for name in changed_names(before, after, id_bytes=len(old or new or "") // 2):
            pair = before.entries.get(name), after.entries.get(name)
            if any(one is not None and not one.is_directory for one in pair):
                yield below + name
            trees = [one.object_id if one and one.is_directory else None for one in pair]
            if any(trees):
                yield from self._changes(*trees, deadline=deadline, below=f"{below}{name}/")

    def follow(self, old: str, new: str, *, deadline: float) -> None:
        """Parse what differs in a new commit, before readers need it, if they have read the old."""
        with self._guard:
            is_read = self._roots.get(old) in self._trees
        if is_read:
            for _ in islice(self.changed_paths(old, new, deadline=deadline), _FOLLOWED):
                pass

    def descends(self, commit: str, ancestor: str, *, deadline: float) -> bool | None:
        """Return whether a commit is one of the next hundred after another.

        `None` if that is not known, because there are more.
        """
        waiting, seen = deque([commit]), {commit}
        while waiting:
            if len(seen) > _NEAR:
                return None
            one = waiting.popleft()
            if one == ancestor:
                return True
            for parent in self._parents(one, deadline=deadline):
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)
        return False

    def _parents(self, commit: str, *, deadline: float) -> list[str]:
        found = self.cat_file.read(commit, limit=_MAX_COMMIT_BYTES, deadline=deadline)
        return headers_of(found.data, "parent")

    def peel(self, object_id: str, *, deadline: float) -> str | None:
        """Return the commit that a tag names, through other tags; `None` if it names another."""
        for _ in range(_PEELED):
            found = self.cat_file.read(object_id, limit=_MAX_COMMIT_BYTES, deadline=deadline)
            if found.kind == "commit":
                return object_id
            following = header_of(found.data, "object") if found.kind == "tag" else None
            if following is None:
                return None
            object_id = following
        return None

    def run(self, *arguments: str, deadline: float, data: bytes = b"") -> bytes:
        """Return the output of a command that reads and must succeed in a clone that is whole.

        Raises:
            BackendUnavailableError: It was killed, or did not end in time.
        """
        try:
            return self._git.run(*arguments, data=data, deadline=deadline)
        except GitError as error:
            if error.code is None or error.code < 0:
                raise BackendUnavailableError(error.reason) from error
            raise DamagedCloneError(error.reason) from error

    def close(self) -> None:
        """End the process that reads."""
        self.cat_file.close()
