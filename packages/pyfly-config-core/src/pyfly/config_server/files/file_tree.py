"""The interface to the files of a text store: directories, a bucket, a Git repository.

A tree has files and labels. It does not know bundles: the text store handles names, formats,
precedence and conditions. All methods block; the store calls them in threads, each with a
deadline, which is a time of the monotonic clock.

Every method may raise `BackendUnavailableError` if the files cannot be reached,
`BackendAccessDeniedError` if access is refused, and `FilesChangedError` if the files changed during
the call; the caller then starts again.
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
    """The files changed while they were read or written. Nothing was written; start again.

    Args:
        reason: The message of the error after too many attempts.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnsettledFileError(BackendUnavailableError):
    """A file is being written, or was just written; it may not be complete."""

    def __init__(self, where: str, seconds: float) -> None:
        super().__init__(f"'{where}' keeps changing while it is read; replace it by renaming")
        self.seconds = seconds
        """The time to wait before the next try."""


class IrregularFileError(ConfigFormatError):
    """A path is not a regular file but a directory or a pipe."""


class Unchanged(Enum):
    """The result of reading a file whose content the caller has already."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
"""Says that a file is the one that the caller has read before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """The complete bytes of a file at one version."""

    data: bytes = field(repr=False)
    identity: Hashable
    """A value for `FileView.read` that changes whenever the content may have changed."""
    version: str
    """The version for conditional writes: a digest, an entity tag, an object id."""
    modified: datetime | None = None
    """The time of the last change, in UTC; `None` if unknown."""
    is_settled: bool = True
    """True if every later change will change the identity, so that the content may be cached."""


FileCondition: TypeAlias = FileContent | Precondition
"""The condition of a write: the file has this content, `ABSENT`, or `ANY` for no condition."""

Listing: TypeAlias = Mapping[str, Mapping[str, str | None] | None]
"""For each label the paths of its files, each with its version if the listing has it. `None` for a
label that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeNote:
    """Author and message of a change, kept if the tree has a history."""

    author: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChanges:
    """The changes between two scans of a tree."""

    cursor: str
    """The state of the tree: the same text in every process that sees the same files."""
    paths: Collection[str] = ()
    """Added, changed and removed files, as paths below the root of the tree."""
    directories: Collection[str] = ()
    """Added and removed directories, if directories are labels."""


class FileView(Protocol):
    """The files of one label. In a tree with revisions, a view sees one revision."""

    def present(self, key: ConfigKey, names: Sequence[str]) -> Sequence[str]:
        """Return the existing names, in the same order.

        Args:
            key: The bundle of the files. A tree may list further names in the same call.
            names: Paths below the label, in one or several directories.
        """
        ...

    def directories(self, path: str) -> Collection[str]:
        """Return the names of the directories directly below a path, without hidden ones.

        A link out of the root is left out. The result is empty if the path does not exist.

        Args:
            path: The path of a directory below the label; empty for the label itself.
        """
        ...

    def read(
        self, path: str, *, limit: int, known: Hashable = None
    ) -> FileContent | Unchanged | None:
        """Return what a file holds, `None` when it does not exist.

        Args:
            path: The path below the label, with `/` between its parts. All parts are checked.
            limit: The largest size in bytes.
            known: The identity of the content that the caller has. If the file still has it, the
                result is `UNCHANGED`.

        Raises:
            IrregularFileError: The path is not a regular file. The error does not name it.
            ConfigFormatError: The file is larger than `limit`. The error does not name it.
            UnsettledFileError: The file is being written; try again.
        """
        ...


class FileWriter(FileView, Protocol):
    """A view of one label for one write. `present` does not cache; `read` waits for settling."""

    def replace(
        self,
        name: str,
        data: bytes,
        *,
        obsolete: Sequence[str] = (),
        condition: FileCondition,
        note: ChangeNote,
    ) -> str:
        """Replace or create a file, atomically and durably; return its version.

        A missing label is made together with the file.

        Args:
            name: The path below the label.
            data: The new content.
            obsolete: Files that are removed afterwards because they are no longer read.
            condition: The condition on the file.
            note: Author and message.

        Raises:
            FilesChangedError: The condition no longer holds.
        """
        ...

    def remove(self, names: Sequence[str], *, condition: FileCondition, note: ChangeNote) -> None:
        """Remove files in this order; missing files are ignored.

        Args:
            names: Paths below the label.
            condition: The condition on the last file.
            note: Author and message.

        Raises:
            FilesChangedError: The condition no longer holds.
        """
        ...


class FileTree(Protocol):
    """A tree of files, with a directory or branch for each label, or with a single label."""

    is_slow: ClassVar[bool]
    """True if reads are slow, so that each bundle is read in a separate thread."""
    lists_versions: ClassVar[bool]
    """True if `listing` returns versions, so that a listing of names reads no files."""
    locks_writers: ClassVar[bool]
    """True if a writer excludes writers of other processes. Otherwise a condition covers only the
    written file, and a bundle in several files cannot be saved under a condition."""

    @property
    def label(self) -> str | None:
        """The only label; `None` for a tree with several labels."""
        ...

    def view(self, label: str, *, deadline: float) -> AbstractContextManager[FileView | None]:
        """Open the files of a label for reading; `None` if the label does not exist.

        A tree may use a recent listing while it lists again, and raise `FilesChangedError` at the
        end of the context if the new listing differs.
        """
        ...

    def has_label(self, label: str, *, deadline: float) -> bool:
        """True if the label exists."""
        ...

    def listing(
        self, label: str | None, *, with_versions: bool, deep: bool = False, deadline: float
    ) -> Listing:
        """Return the paths of files, of one label or of all labels.

        Args:
            label: The only label to list. It need not exist. If it cannot be read, the listing
                raises.
            with_versions: False if the caller needs no versions.
            deep: True to list the files in subdirectories, too, without hidden directories. Not
                possible for a tree with a directory for each label.
            deadline: A time of the monotonic clock.
        """
        ...

    def files(self, label: str, *, deadline: float) -> Iterator[ResourceEntry]:
        """Yield all files below a label, in any order, without hidden files."""
        ...

    def looks_lost(self, *, deadline: float) -> bool:
        """True if there is no label, or no file in the only label, for a reason that is unknown.

        If the tree had content before, the store is unreachable then. A tree whose storage reports
        its failures, such as a bucket, returns false.
        """
        ...

    def changes(self, *, deadline: float) -> FileChanges:
        """Scan the tree; return its state and the changes since the previous scan.

        The first scan returns no changes. Calls must not overlap.
        """
        ...

    def check(self, *, deadline: float) -> None:
        """Return if the tree can be read."""
        ...

    def is_writable(self) -> bool:
        """True unless this instance is read-only, such as a disk that is mounted read-only."""
        ...

    def turn(self, key: ConfigKey) -> str:
        """Return the name of the lock for writers in this process: of a label or a bundle."""
        ...

    def writer(self, key: ConfigKey, *, deadline: float) -> AbstractContextManager[FileWriter]:
        """Open the label of a bundle for one write; exclusively if the tree has locks."""
        ...

    # --- beside the bundles -----------------------------------------------------------

    def read_hidden(self, name: str, *, limit: int, deadline: float) -> bytes | None:
        """Return a hidden file of the whole tree as it is now; `None` if it does not exist.

        What another process has written before this call is seen. No cache is used.

        Args:
            name: A name that begins with a dot, so that no listing and no request has it.
            limit: The largest size in bytes.
            deadline: A time of the monotonic clock.

        Raises:
            ConfigFormatError: The file is larger than `limit`. The error does not name it.
        """
        ...

    def replace_hidden(
        self,
        name: str,
        data: bytes,
        *,
        expected: bytes | None,
        note: ChangeNote,
        deadline: float,
    ) -> None:
        """Replace or create a hidden file of the whole tree, atomically and durably.

        Args:
            name: As in `read_hidden`.
            data: The new content.
            expected: The content that it must have; `None` if it must not exist.
            note: Author and message.
            deadline: A time of the monotonic clock.

        Raises:
            FilesChangedError: It has another content; nothing was written.
        """
        ...
