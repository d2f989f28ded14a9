"""The commands that make and fill a bare clone. The caller holds the lock of the remote."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pyfly.config_git._cat_file import DamagedCloneError, TooLargeError
from pyfly.config_git._objects import Objects
from pyfly.config_git._process import Git, GitError
from pyfly.config_git._refs import FORMAT, Refs, parse_refs
from pyfly.config_git._tidying import marked

_REFSPECS: Final = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_LIST: Final = ("for-each-ref", f"--format={FORMAT}", "refs/heads", "refs/tags")
_SURPRISES_SECONDS: Final = 60.0
_VERIFY_SECONDS: Final = 120.0
_NAMED: Final = 20
"""The number of branches that are looked at for a rewritten history."""


class Clone:
    """A bare clone.

    Args:
        local: Git for commands that reach no remote.
        remote: Git for commands that reach the remote.
    """

    def __init__(self, local: Git, remote: Git) -> None:
        self.local: Final = local
        self._remote = remote

    def fetch(self, address: str, *, deadline: float) -> Refs:
        """Fetch all branches and tags, and return them. Makes the clone if it does not exist.

        Raises:
            GitError: The fetch failed. Some branches may have been fetched nevertheless.
        """
        directory = self.local.directory
        if not (directory / "HEAD").is_file():
            self._make("sha1", deadline)
        with marked(directory):
            try:
                output = self._fetch(address, deadline)
            except GitError as error:
                if "mismatched algorithms" not in error.reason:
                    raise
                self._make("sha256", deadline)
                output = self._fetch(address, deadline)
        return self._refs(output, deadline)

    def _make(self, object_format: str, deadline: float) -> None:
        """Make an empty clone. One with another object format must be empty, too."""
        self.local.directory.mkdir(mode=0o700, exist_ok=True)
        (self.local.directory / "config").unlink(missing_ok=True)
        self.local.run(
            *("init", "--quiet", "--bare", "--template=", f"--object-format={object_format}"),
            deadline=deadline,
        )

    def _fetch(self, address: str, deadline: float) -> bytes:
        return self._remote.run(
            *("fetch", "--no-write-fetch-head", "--prune", "--no-tags", "--force", "--quiet"),
            *(address, *_REFSPECS),
            then=_LIST,
            deadline=deadline,
        )

    def refs(self, *, deadline: float) -> Refs:
        """Return the branches and tags of the clone.

        Raises:
            GitError: The clone cannot be read.
        """
        return self._refs(self.local.run(*_LIST, deadline=deadline), deadline)

    def _refs(self, output: bytes, deadline: float) -> Refs:
        refs, nested = parse_refs(output)
        if not nested:
            return refs
        tags = dict(refs.tags)
        with contextlib.closing(Objects(self.local)) as objects:
            for name, object_id in nested.items():
                try:
                    commit = objects.peel(object_id, deadline=deadline)
                except DamagedCloneError as error:
                    raise GitError(str(error), 1) from error
                if commit is not None:
                    tags[name] = commit
        return Refs(branches=refs.branches, tags=tags)

    def is_damaged(self) -> bool:
        """True if an object that a branch or tag needs is missing, or a branch cannot be read."""
        git = replace(self.local, is_polite=True, inherited=self._remote.inherited)
        command = ("fsck", "--connectivity-only", "--no-dangling", "--no-progress")
        try:
            git.run(*command, deadline=time.monotonic() + _VERIFY_SECONDS)
        except GitError as error:
            return error.code is not None and error.code > 0  # else it was killed
        return False

    def surprises(self, before: Refs, after: Refs, objects: Objects) -> Iterator[str]:
        """Yield what happened to branches beside new commits: removals, rewritten histories.

        Args:
            before: Branches and tags before a fetch.
            after: Those after it.
            objects: The objects of the clone.
        """
        for name in sorted(before.branches.keys() - after.branches.keys()):
            yield f"the branch '{name}' was removed"
        moved = [
            (name, old, after.branches[name])
            for name, old in sorted(before.branches.items())
            if after.branches.get(name, old) != old
        ]
        deadline = time.monotonic() + _SURPRISES_SECONDS
        for name, old, new in moved[:_NAMED]:
            if self._is_rewritten(old, new, objects, deadline):
                yield f"the history of the branch '{name}' was rewritten"

    def _is_rewritten(self, old: str, new: str, objects: Objects, deadline: float) -> bool:
        """True if a commit is not in the history of another one, as far as can be told."""
        try:
            found = objects.descends(new, old, deadline=deadline)
            if found is None:
                self.local.run("merge-base", "--is-ancestor", old, new, deadline=deadline)
        except GitError as error:
            return error.code == 1
        except (DamagedCloneError, TooLargeError):
            return False
        return found is False


def move_branch(git: Git, branch: str, commit: str, *, deadline: float) -> None:
    """Move a branch of a clone.

    Raises:
        GitError: It cannot be moved. The next command that writes can do it.
    """
    with marked(git.directory):
        git.run("update-ref", f"refs/heads/{branch}", commit, deadline=deadline)
