"""The files of a branch for one write, which is a commit and a push."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigKey,
    ConfigObstructedError,
    InvalidConfigKeyError,
    UnsupportedOperationError,
)
from pyfly.config_git._commits import commit_data
from pyfly.config_git._mirror import Mirror, Snapshot
from pyfly.config_git._process import Git, GitError
from pyfly.config_git._pushes import BranchMove, push
from pyfly.config_git._trees import RawEntry, TreeEntry, tree_with
from pyfly.config_git._views import CommitView
from pyfly.config_server.files import ChangeNote, FileCondition

_COMMIT_SECONDS: Final = 20.0
_Files = Mapping[str, str | None]
"""New ids of files by path; `None` for a removed file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitWriter(CommitView):
    """The files of the last commit of a branch. The lock of the clone is held.

    The condition of a write holds because nothing else writes into the clone, and the remote
    accepts a commit only if its branch has not moved since.
    """

    mirror: Mirror
    clone: str
    branch: str
    key: ConfigKey
    lock: int

    def replace(
        self,
        name: str,
        data: bytes,
        *,
        obsolete: Sequence[str] = (),
        condition: FileCondition,
        note: ChangeNote,
    ) -> str:
        """Replace or create a file with a commit, and push it; return its version.

        Nothing is pushed if the file has this content already.

        Raises:
            FilesChangedError: The branch has moved.
            BackendAccessDeniedError: The remote refuses the commit.
        """
        del condition  # see the class
        git = self.mirror.local(self.clone)
        blob = _stored(git, "blob", data)
        files = {name: blob, **dict.fromkeys(obsolete)}
        self._commit(git, files, note=note, subject=subject_of(self.key, removed=False))
        return blob

    def remove(self, names: Sequence[str], *, condition: FileCondition, note: ChangeNote) -> None:
        """Remove files with one commit, and push it.

        Raises:
            FilesChangedError: The branch has moved.
            BackendAccessDeniedError: The remote refuses the commit.
        """
        del condition  # see the class
        git = self.mirror.local(self.clone)
        subject = subject_of(self.key, removed=True)
        self._commit(git, dict.fromkeys(names), note=note, subject=subject)

    def _commit(self, git: Git, files: _Files, *, note: ChangeNote, subject: str) -> None:
        before = None
        if self.commit is not None:
            before = self.objects.root(self.commit, deadline=self.deadline)
        edited = self._edited(git, before, files)
        root = _stored(git, "tree", b"") if edited is None else edited.object_id
        if root == before:
            return
        data = commit_data(
            tree=root, parent=self.commit, note=note, subject=subject, seconds=int(time.time())
        )
        commit = _stored(git, "commit", data)
        move = BranchMove(branch=self.branch, parent=self.commit, commit=commit)
        push(self.mirror, self.clone, move, lock=self.lock)

    def _edited(self, git: Git, tree: str | None, files: _Files) -> TreeEntry | None:
        """Store a directory with other files; return it, `None` if it would be empty."""
        rows = [] if tree is None else self.objects.raw_directory(tree, deadline=self.deadline)
        directories = {row.name: row.object_id for row in rows if row.is_directory}
        edits: dict[str, TreeEntry | None] = {}
        below: dict[str, dict[str, str | None]] = {}
        for path, blob in files.items():
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, {})[rest] = blob
            else:
                edits[name] = None if blob is None else TreeEntry(blob, is_directory=False)
        _check_replaceable(rows, files=edits, directories=below)
        for name, inner in below.items():
            edits[name] = self._edited(git, directories.get(name.encode()), inner)
        data = tree_with(rows, edits)
        return TreeEntry(_stored(git, "tree", data), is_directory=True) if data else None


def _check_replaceable(
    rows: Iterable[RawEntry], *, files: Collection[str], directories: Collection[str]
) -> None:
    """Refuse to put a file or directory in the place of something else, which would be lost.

    Raises:
        ConfigObstructedError: A link, a submodule, or a file and a directory of one name.
    """
    for row in rows:
        name = row.name.decode(errors="replace")
        if (name in files and not row.is_file) or (name in directories and not row.is_directory):
            raise ConfigObstructedError(name, "it is a link, a submodule, or of another kind")


def open_writer(
    mirror: Mirror, snapshot: Snapshot, key: ConfigKey, *, commit: str | None, lock: int
) -> CommitWriter:
    """Return the writer for the branch of a label.

    Args:
        mirror: The clone.
        snapshot: Its state under the lock.
        key: The bundle to write.
        commit: The commit of its label.
        lock: The open file of the lock.

    Raises:
        ConfigObstructedError: The label is a tag or a commit, or another branch is in the way.
        InvalidConfigKeyError: Git refuses the label as the name of a branch.
        UnsupportedOperationError: The repository has a working tree, which a push leaves behind.
    """
    label, refs = key.label, snapshot.refs
    directory = mirror.location.address.removeprefix("file://")
    if mirror.location.transport == "file" and (Path(directory) / ".git").exists():
        raise UnsupportedOperationError(
            "GitConfigBackend", "saves in a repository with a working tree; use a bare one"
        )
    branch = refs.branch_of(label)
    if branch is None or (commit is not None and label not in refs.labels):
        what = "commit" if branch else "tag"
        raise ConfigObstructedError(label, f"it is a {what}, and does not move; save on a branch")
    if commit is None:
        _check_new_branch(mirror.local(snapshot.state.clone), branch, refs.branches)
    return CommitWriter(
        objects=snapshot.objects,
        commit=commit,
        deadline=time.monotonic() + _COMMIT_SECONDS,
        mirror=mirror,
        clone=snapshot.state.clone,
        branch=branch,
        key=key,
        lock=lock,
    )


def subject_of(key: ConfigKey, *, removed: bool) -> str:
    """Return the message of a change that has none."""
    return f"{'Remove' if removed else 'Save'} {key.stem}"


def _check_new_branch(git: Git, branch: str, present: Iterable[str]) -> None:
    """Refuse a branch that git cannot make.

    Raises:
        ConfigObstructedError: It would be a directory of another branch, or lie below one.
        InvalidConfigKeyError: Its name is not acceptable to git.
    """
    for other in present:
        if other.startswith(f"{branch}/") or branch.startswith(f"{other}/"):
            raise ConfigObstructedError(
                branch, f"git has no branch of this name beside the branch '{other}'"
            )
    try:
        deadline = time.monotonic() + _COMMIT_SECONDS
        git.run("check-ref-format", "--branch", branch, deadline=deadline)
    except GitError as error:
        raise InvalidConfigKeyError(
            "label", branch, "git refuses it as the name of a branch"
        ) from error


def _stored(git: Git, kind: str, data: bytes) -> str:
    """Store an object in the clone; return its id.

    Raises:
        BackendUnavailableError: The disk is full, or not writable.
    """
    command = ("hash-object", "-t", kind, "-w", "--stdin")
    deadline = time.monotonic() + _COMMIT_SECONDS
    try:
        return git.run(*command, data=data, deadline=deadline).decode().strip()
    except GitError as error:
        raise BackendUnavailableError(f"{error.reason}; nothing was written") from error
