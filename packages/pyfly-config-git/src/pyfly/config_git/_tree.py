"""The files of a Git repository: a commit for each label."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import ClassVar, Final

from pyfly.config_core import (
    BASE_PROFILE,
    BackendStaleError,
    BackendUnavailableError,
    ConfigError,
    ConfigKey,
    UnsupportedOperationError,
)
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_git._cat_file import DamagedCloneError, TooLargeError
from pyfly.config_git._check import check_git
from pyfly.config_git._labels import LabelResolver
from pyfly.config_git._mirror import Mirror, Snapshot
from pyfly.config_git._objects import Objects
from pyfly.config_git._refresher import Refresher
from pyfly.config_git._refs import Refs
from pyfly.config_git._trees import listed
from pyfly.config_git._views import CommitView
from pyfly.config_git._writer import CommitWriter, open_writer
from pyfly.config_server.files import (
    ChangeNote,
    FileChanges,
    FileContent,
    FilesChangedError,
    IrregularFileError,
    Listing,
)
from pyfly.config_server.storage import Precondition, ResourceEntry

_NAMED_LABELS: Final = 50
"""If more labels moved, they are named without their files."""
_NAMED_FILES: Final = 1_000
"""If more files of a label changed, it is named without its files."""


class GitTree:
    """Files in the commits of a repository. Safe for use from several threads and processes.

    Args:
        mirror: The clone of the repository.
        refresher: Keeps it up to date.
    """

    is_slow: ClassVar = False
    lists_versions: ClassVar = True
    locks_writers: ClassVar = True

    def __init__(self, mirror: Mirror, refresher: Refresher) -> None:
        self._mirror = mirror
        self._refresher = refresher
        self._labels = LabelResolver()
        self._scanned: Refs | None = None

    @property
    def label(self) -> str | None:
        """`None`: there is a label for each branch, tag and commit."""
        return None

    # --- reading ----------------------------------------------------------------------

    @contextmanager
    def view(self, label: str, *, deadline: float) -> Generator[CommitView | None]:
        """Open the commit of a label. The remote is never waited for."""
        with self.reading(deadline) as snapshot:
            commit = self._labels.commit(snapshot, label, deadline=deadline)
            if commit is None:
                yield None
            else:
                yield CommitView(objects=snapshot.objects, commit=commit, deadline=deadline)

    def has_label(self, label: str, *, deadline: float) -> bool:
        """True for a branch, a tag, and a commit that one of them reaches."""
        return self.commit(label, deadline=deadline) is not None

    def commit(self, label: str, *, deadline: float) -> str | None:
        """Return the commit of a label; `None` if there is none."""
        with self.reading(deadline) as snapshot:
            return self._labels.commit(snapshot, label, deadline=deadline)

    def commit_in(self, snapshot: Snapshot, label: str, *, deadline: float) -> str | None:
        """Return the commit of a label in a known state."""
        return self._labels.commit(snapshot, label, deadline=deadline)

    def refs(self, *, deadline: float) -> Refs:
        """Return the branches and tags. While nothing changes, it is the same object."""
        return self._refresher.current(deadline=deadline).refs

    def listing(
        self, label: str | None, *, with_versions: bool, deep: bool = False, deadline: float
    ) -> Listing:
        """Return the files of the root directories, of one label or of all branches and tags."""
        del with_versions
        with self.reading(deadline) as snapshot:
            if label is None:
                commits = dict(snapshot.refs.listed)
            else:
                commit = self._labels.commit(snapshot, label, deadline=deadline)
                commits = {} if commit is None else {label: commit}
            objects = snapshot.objects
            if deep:
                return {
                    name: _listed_below(objects, one, deadline) for name, one in commits.items()
                }
            roots = {name: objects.root(one, deadline=deadline) for name, one in commits.items()}
            return {
                name: listed(objects.directory(root, deadline=deadline))
                for name, root in roots.items()
            }

    def files(self, label: str, *, deadline: float) -> Iterator[ResourceEntry]:
        """Yield all files of a commit, without hidden ones."""
        with self.reading(deadline) as snapshot:
            commit = self._labels.commit(snapshot, label, deadline=deadline)
            if commit is not None:
                root = snapshot.objects.root(commit, deadline=deadline)
                for path in snapshot.objects.walk(root, deadline=deadline):
                    yield ResourceEntry(path=path)

    def looks_lost(self, *, deadline: float) -> bool:
        """False: the clone tells an empty repository from one that cannot be reached."""
        del deadline
        return False

    def changes(self, *, deadline: float) -> FileChanges:
        """Compare branches and tags with those of the previous call.

        Raises:
            BackendStaleError: The last fetch failed, so that the state may be old.
        """
        with self.reading(deadline) as snapshot:
            error = self._refresher.error(snapshot)
            if error is not None:
                age = max(0.0, time.time() - snapshot.state.fetched_at)
                raise BackendStaleError(str(error), age=age) from error
            before = self._scanned
            found = FileChanges(cursor=snapshot.refs.cursor)
            if before is not None and before is not snapshot.refs:
                found = self._compare(snapshot, before, deadline)
            self._scanned = snapshot.refs
            return found

    def _compare(self, snapshot: Snapshot, before: Refs, deadline: float) -> FileChanges:
        old, new = before.labels, snapshot.refs.labels
        moved = [name for name in old.keys() & new.keys() if old[name] != new[name]]
        labels = {*(old.keys() ^ new.keys()), *self._labels.commit_labels()}
        paths: set[str] = set()
        known: dict[tuple[str, str], list[str] | None] = {}
        for label in moved:
            pair = (old[label], new[label])
            if pair not in known:
                too_many = len(known) >= _NAMED_LABELS
                known[pair] = None if too_many else _changed_paths(snapshot, *pair, deadline)
            changed = known[pair]
            if changed is None:
                labels.add(label)
            else:
                paths.update(f"{label}/{path}" for path in changed)
        return FileChanges(cursor=snapshot.refs.cursor, paths=paths, directories=labels)

    def check(self, *, deadline: float) -> None:
        """Return if git can be used and the repository was fetched once."""
        check_git()
        self._refresher.current(deadline=deadline)

    @contextmanager
    def reading(self, deadline: float) -> Generator[Snapshot]:
        """Yield the last known state.

        Raises:
            BackendUnavailableError: There is none, or the clone is damaged and is replaced.
            FilesChangedError: The clone was replaced, or the commit was rewritten and tidied away.
        """
        snapshot = self._refresher.current(deadline=deadline)
        try:
            yield snapshot
        except DamagedCloneError as error:
            now = self._mirror.snapshot()
            if now is None or now.objects is not snapshot.objects or now.refs is not snapshot.refs:
                raise FilesChangedError("the clone keeps changing") from error
            self._mirror.report_damage(snapshot, error)
            self._refresher.ask()
            raise BackendUnavailableError(
                "the clone of the repository is damaged; a new one is being made"
            ) from error

    # --- writing ----------------------------------------------------------------------

    def is_writable(self) -> bool:
        """True if the location says so."""
        return self._mirror.location.writable

    def turn(self, key: ConfigKey) -> str:
        """Return the same text for all: pushes go one after the other."""
        del key
        return "push"

    @contextmanager
    def writer(self, key: ConfigKey, *, deadline: float) -> Generator[CommitWriter]:
        """Open a branch for one write, and hold the lock of the clone.

        Raises:
            UnsupportedOperationError: The location does not say `write=true`.
            ConfigObstructedError: The label is a tag or a commit.
        """
        if not self.is_writable():
            raise UnsupportedOperationError(
                "GitConfigBackend", "saves, unless its URL says write=true"
            )
        self._refresher.current(deadline=deadline)  # there is a clone
        with self._mirror.lock(deadline=deadline) as lock, self.reading(deadline) as snapshot:
            commit = self._labels.commit(snapshot, key.label, deadline=deadline)
            yield open_writer(self._mirror, snapshot, key, commit=commit, lock=lock)

    # --- beside the bundles -----------------------------------------------------------

    def read_hidden(self, name: str, *, limit: int, deadline: float) -> bytes | None:
        """Return a hidden file of the default branch, which is fetched first.

        The result is `None` without a branch `main` or `master`, too.

        Raises:
            BackendUnavailableError: The remote cannot be reached.
        """
        self._refresher.current(deadline=deadline)  # there is a clone
        self._mirror.fetch(since=time.time())
        with self.reading(deadline) as snapshot:
            return _content(_default_view(snapshot, deadline), name, limit)

    def replace_hidden(
        self,
        name: str,
        data: bytes,
        *,
        expected: bytes | None,
        note: ChangeNote,
        deadline: float,
    ) -> None:
        """Replace a hidden file of the default branch with a commit, and push it.

        Raises:
            UnsupportedOperationError: There is no branch `main` or `master`, or the location does
                not say `write=true`.
        """
        branch = self._refresher.current(deadline=deadline).refs.default_branch
        if branch is None:
            raise UnsupportedOperationError(
                "a repository without a branch 'main' or 'master'", "freezes"
            )
        key = ConfigKey(application="freezes", profile=BASE_PROFILE, label=branch)
        with self.writer(key, deadline=deadline) as writer:
            if _content(writer, name, MAX_DOCUMENT_BYTES) != expected:
                raise FilesChangedError(f"the branch '{branch}' keeps moving")
            writer.replace(name, data, condition=Precondition.ANY, note=note)


def _default_view(snapshot: Snapshot, deadline: float) -> CommitView:
    branch = snapshot.refs.default_branch
    commit = None if branch is None else snapshot.refs.branches[branch]
    return CommitView(objects=snapshot.objects, commit=commit, deadline=deadline)


def _content(view: CommitView, name: str, limit: int) -> bytes | None:
    """Return a file of the root, `None` only if nothing has its name."""
    found = view.read(name, limit=limit)
    if isinstance(found, FileContent):
        return found.data
    if view.is_irregular(name):
        raise IrregularFileError("not a regular file")
    return None


def _listed_below(objects: Objects, commit: str, deadline: float) -> dict[str, str | None]:
    """Return all files of a commit, without hidden ones, each with its version."""
    view = CommitView(objects=objects, commit=commit, deadline=deadline)
    paths = objects.walk(objects.root(commit, deadline=deadline), deadline=deadline)
    return {path: view.blob(path) for path in paths}


def _changed_paths(snapshot: Snapshot, old: str, new: str, deadline: float) -> list[str] | None:
    """Return the paths that differ between two commits.

    `None` if that cannot be told, or if there are too many.
    """
    found = snapshot.objects.changed_paths(old, new, deadline=deadline)
    try:
        paths = [*islice(found, _NAMED_FILES + 1)]
    except (DamagedCloneError, TooLargeError, ConfigError):
        return None
    return paths if len(paths) <= _NAMED_FILES else None
