"""The place where the files of a text store lie: directories, a bucket, a Git repository.

A tree knows files and labels, and nothing of bundles: names, formats, precedence and conditions
are those of `pyfly.config_server.files.text_files`. All methods block; the store runs them in
threads, each with a deadline of the monotonic clock.

Every method may raise `BackendUnavailableError` when the place cannot be reached,
`BackendAccessDeniedError` when it refuses, and `FilesChangedError` when it changed under the feet
of the caller, who then begins anew.
"""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import ClassVar, Final, Protocol, TypeAlias

from pyfly.config_core import BackendUnavailableError, ConfigFormatError, ConfigKey
from pyfly.config_server.storage import Precondition, ResourceEntry

__all__ = [
    "UNCHANGED",
    "ChangeNote",
    "FileChanges",
    "FileCondition",
    "FileContent",
    "FileTree",
    "FileView",
    "FileWriter",
    "FilesChangedError",
    "IrregularFileError",
    "Listing",
    "Unchanged",
    "UnsettledFileError",
]


class FilesChangedError(Exception):
    """The files changed while they were read or written; nothing was written. Begin anew.

    Args:
        reason: What to tell when that happens again and again.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnsettledFileError(BackendUnavailableError):
    """A file is being written, or was a moment ago; it may hold a part of its new content."""

    def __init__(self, where: str, seconds: float) -> None:
        super().__init__(f"'{where}' keeps changing while it is read; replace it by renaming")
        self.seconds = seconds
        """When to try again."""


class IrregularFileError(ConfigFormatError):
    """What has the name of a file is something else: a directory, a pipe."""


class Unchanged(Enum):
    """The answer to a read of a file that the caller has already."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """The bytes of a file, read whole at one version."""

    data: bytes = field(repr=False)
    identity: Hashable
    """Changes whenever the content may have changed; for `FileView.read`."""
    version: str
    """What conditional writes name: a digest, an entity tag, an object id."""
    modified: datetime | None = None
    """When it was last changed, in UTC, where the tree knows."""
    is_settled: bool = True
    """True if every later change shows in the identity: what was made of it may be remembered."""


FileCondition: TypeAlias = FileContent | Precondition
"""What a write expects of the file: that it is still this one, `ABSENT`, or `ANY` for nothing."""

Listing: TypeAlias = Mapping[str, Mapping[str, str | None] | None]
"""Label to names of the files that lie in it, not deeper; each with its version, where a listing
tells it. `None` for a label that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeNote:
    """Who makes a change, and why; kept where the tree has a history."""

    author: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChanges:
    """What changed between two passes over a tree."""

    cursor: str
    """The state of the tree: the same text in every process that sees the same files."""
    paths: Collection[str] = ()
    """The files that appeared, changed or vanished, below the root of the tree."""
    directories: Collection[str] = ()
    """The directories that appeared or vanished, where directories are labels."""


class FileView(Protocol):
    """The files of one label. A view that is held open sees one state where the tree has states."""

    def present(self, key: ConfigKey, names: Sequence[str]) -> Sequence[str]:
        """Return those of several names that exist, in the same order.

        Args:
            key: The bundle that they are names of. A tree may list more than these at once.
            names: Paths below the label.
        """
        ...

    def read(
        self, path: str, *, limit: int, known: Hashable = None
    ) -> FileContent | Unchanged | None:
        """Return what a file holds, `None` when it does not exist.

        Args:
            path: Below the label, with `/` between its parts, all of them known to be harmless.
            limit: Bytes.
            known: The identity of the content that the caller has; if it is still that one,
                `UNCHANGED` is returned.

        Raises:
            IrregularFileError: It is no regular file; without its name.
            ConfigFormatError: It is larger than `limit`; likewise.
            UnsettledFileError: It is being written; try again.
        """
        ...


class FileWriter(FileView, Protocol):
    """A view of one label for one write. `present` asks anew, `read` waits for a file to settle."""

    def replace(
        self,
        name: str,
        data: bytes,
        *,
        obsolete: Sequence[str] = (),
        condition: FileCondition,
        note: ChangeNote,
    ) -> str:
        """Put `data` under `name`, atomically and durably; return its version.

        A label that does not exist is made with it, in one step.

        Args:
            name: A path below the label.
            data: What it holds from now on.
            obsolete: Files that are removed afterwards, for they are not read any more.
            condition: About the file.
            note: Who changes it, and why.

        Raises:
            FilesChangedError: The condition does not hold any more.
        """
        ...

    def remove(self, names: Sequence[str], *, condition: FileCondition, note: ChangeNote) -> None:
        """Remove files, in this order; those that do not exist are passed over.

        Args:
            names: Paths below the label.
            condition: About the last one.
            note: Who removes them, and why.

        Raises:
            FilesChangedError: The condition does not hold any more.
        """
        ...


class FileTree(Protocol):
    """A tree of files, one directory or branch for each label, or one label in all."""

    is_slow: ClassVar[bool]
    """Whether one read takes so long that several bundles are read in a thread each."""
    lists_versions: ClassVar[bool]
    """Whether `listing` tells versions, so that no file is read for a listing of names."""
    locks_writers: ClassVar[bool]
    """Whether a writer holds off the writers of other processes. Without that, a condition covers
    only the file that is written, and a bundle of several files is not saved under one."""

    @property
    def label(self) -> str | None:
        """The only label; `None` where there may be several."""
        ...

    def view(self, label: str, *, deadline: float) -> AbstractContextManager[FileView | None]:
        """Open the files of a label for reading; `None` when there is no such label.

        A tree may answer from what it listed a moment ago while it lists again, and raise
        `FilesChangedError` at the end of the context when that differs.
        """
        ...

    def has_label(self, label: str, *, deadline: float) -> bool:
        """True if the label exists."""
        ...

    def listing(self, label: str | None, *, with_versions: bool, deadline: float) -> Listing:
        """Return the names of files, of one label or of all.

        Args:
            label: Only this one. It need not exist, but an error is raised if it cannot be read.
            with_versions: Whether versions are needed, where telling them costs more.
            deadline: Of the monotonic clock.
        """
        ...

    def files(self, label: str, *, deadline: float) -> Iterator[ResourceEntry]:
        """Yield all files below a label, in any order; hidden ones are left out."""
        ...

    def changes(self, *, deadline: float) -> FileChanges:
        """Make a pass over the tree; return its state and what changed since the pass before.

        The first pass names nothing. One call at a time.
        """
        ...

    def check(self, *, deadline: float) -> None:
        """Return when the tree can be read."""
        ...

    def is_writable(self) -> bool:
        """True unless this instance can only be read, as a disk that is mounted so."""
        ...

    def turn(self, key: ConfigKey) -> str:
        """Return what writers of this process take turns for: a label, a bundle."""
        ...

    def writer(self, key: ConfigKey, *, deadline: float) -> AbstractContextManager[FileWriter]:
        """Open the label of a bundle for one write, alone where the tree has locks."""
        ...
