"""Open directories of labels, for reading and for one exclusive write."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from pyfly.config_core import ConfigKey
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.files.atomic import remove_files, replace_file
from pyfly.config_server.files.emptied import mark_emptied
from pyfly.config_server.files.file_tree import (
    UNCHANGED,
    ChangeNote,
    FileCondition,
    FileContent,
    FilesChangedError,
    Unchanged,
    UnsettledFileError,
)
from pyfly.config_server.files.label_directories import (
    create_directories,
    create_label,
    remove_empty_label,
)
from pyfly.config_server.files.safe_io import open_file, open_inside, opened, translated
from pyfly.config_server.files.settling import (
    FileIdentity,
    file_identity,
    identity_at,
    read_file,
    settled,
)
from pyfly.config_server.files.walk import list_subdirectories
from pyfly.config_server.storage import ANY

__all__ = [
    "DirectoryNames",
    "DirectoryView",
    "DirectoryWriter",
    "LabelPlace",
    "NewLabelWriter",
    "removed",
    "version_of",
]

_CACHED_LABELS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPlace:
    """The place of the directory of a label."""

    root: Path
    label: str
    has_directory: bool
    """True if the label has a directory; otherwise its files are in the root."""

    def path(self, name: str) -> str:
        """Return the path of a file below the root."""
        return f"{self.label}/{name}" if self.has_directory else name


class DirectoryNames:
    """A cache of the names in directories. Safe for use from several threads."""

    def __init__(self) -> None:
        self._listed: OrderedDict[str, tuple[FileIdentity, frozenset[str]]] = OrderedDict()
        self._guard = threading.Lock()

    def of(self, label: str, directory: int) -> frozenset[str] | None:
        """Return the names in the open directory of a label, `None` if it changed recently."""
        identity = FileIdentity.of(os.fstat(directory))
        with self._guard:
            known = self._listed.get(label)
        if known is not None and known[0] == identity:
            return known[1]
        if not identity.is_old:
            return None
        names = frozenset(os.listdir(directory))
        with self._guard:
            self._listed[label] = (identity, names)
            while len(self._listed) > _CACHED_LABELS:
                self._listed.popitem(last=False)
        return names


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryView:
    """The files in the open directory of a label."""

    place: LabelPlace
    directory: int
    """The descriptor of the directory."""
    names: DirectoryNames | None = field(default=None, repr=False)
    """The cache of names; `None` to check every name on disk."""

    def present(self, key: ConfigKey, names: Sequence[str]) -> Sequence[str]:
        """Return the existing names, in the same order."""
        del key  # checking each name is cheaper than listing
        known = None if self.names is None else self.names.of(self.place.label, self.directory)
        if known is None:
            return [name for name in names if self._exists(name)]
        return [n for n in names if n in known or ("/" in n and self._exists(n))]

    def directories(self, path: str) -> Collection[str]:
        """Return the names of the directories directly below a path, without hidden ones."""
        where = self.place.path(path) if path else self.place.path("").rstrip("/")
        with translated(f"list '{where}'"):
            return list_subdirectories(self.place.root, where)

    def _exists(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.directory, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def read(
        self, path: str, *, limit: int, known: Hashable = None
    ) -> FileContent | Unchanged | None:
        """Return the content of a file, `None` if it does not exist.

        Raises:
            IrregularFileError: The path is not a regular file.
            ConfigFormatError: The file is larger than `limit`.
            UnsettledFileError: The file is being written; try again.
            BackendAccessDeniedError: A link leads out of the root, or permissions are missing.
        """
        where = f"{self.place.label}/{path}"
        with translated(f"read '{where}'"):
            if known is not None and identity_at(self.directory, path) == known:
                return UNCHANGED
            descriptor = open_file(
                self.directory, path, root=self.place.root, path=self.place.path(path)
            )
            if descriptor is None:
                return None
            with opened(descriptor):
                if known is not None and file_identity(descriptor, limit=limit) == known:
                    return UNCHANGED  # reached through a link
                data, identity = read_file(descriptor, limit=limit, where=where)
        return FileContent(
            data=data,
            identity=identity,
            version=version_of(data),
            modified=datetime.fromtimestamp(identity.modified // 10**9, UTC),
            is_settled=identity.is_old,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryWriter(DirectoryView):
    """The files in the open directory of a label, which this writer has locked."""

    def read(
        self, path: str, *, limit: int, known: Hashable = None
    ) -> FileContent | Unchanged | None:
        """Return the content of a file as soon as it has settled."""
        view = DirectoryView(place=self.place, directory=self.directory)
        return settled(lambda: view.read(path, limit=limit, known=known))

    def replace(
        self,
        name: str,
        data: bytes,
        *,
        obsolete: Sequence[str] = (),
        condition: FileCondition,
        note: ChangeNote,
    ) -> str:
        """Replace or create a file, then remove the obsolete files.

        The lock excludes other stores, but no editors; so the condition is checked once more,
        right before the file is replaced.

        Raises:
            FilesChangedError: The directory was removed, or the condition does not hold.
        """
        del note  # files have no history
        parent, _, file_name = name.rpartition("/")
        check = partial(self._check, name, condition)
        try:
            if not parent:
                replace_file(self.directory, name, data, check=check)
            elif not self._replace_below(parent, file_name, data, check):
                create_directories(
                    self.place.root, self.place.path(parent), name=file_name, data=data
                )
        except FileNotFoundError as error:
            raise removed(self.place.label) from error
        self._remove(obsolete)
        return version_of(data)

    def _check(self, name: str, condition: FileCondition) -> None:
        """Check that a file has the content that it had when it was read.

        Raises:
            FilesChangedError: It has other content.
        """
        if condition is ANY:
            return
        expected = condition if isinstance(condition, FileContent) else None
        view = DirectoryView(place=self.place, directory=self.directory)
        try:
            now = view.read(
                name,
                limit=MAX_DOCUMENT_BYTES,
                known=None if expected is None else expected.identity,
            )
        except UnsettledFileError as error:
            raise _changed(f"{self.place.label}/{name}") from error
        version = now.version if isinstance(now, FileContent) else None
        if now is not UNCHANGED and version != (None if expected is None else expected.version):
            raise _changed(f"{self.place.label}/{name}")

    def _replace_below(
        self, parent: str, file_name: str, data: bytes, check: Callable[[], None]
    ) -> bool:
        """Replace or create a file in a subdirectory; return false if that does not exist."""
        directory = open_inside(self.place.root, self.place.path(parent))
        if directory is None:
            return False
        with opened(directory):
            replace_file(directory, file_name, data, check=check)
        return True

    def _remove(self, names: Sequence[str]) -> None:
        remove_files(self.directory, [name for name in names if "/" not in name])
        for name in names:
            parent, _, file_name = name.rpartition("/")
            if (
                parent
                and (found := open_inside(self.place.root, self.place.path(parent))) is not None
            ):
                with opened(found):
                    remove_files(found, [file_name])

    def remove(self, names: Sequence[str], *, condition: FileCondition, note: ChangeNote) -> None:
        """Remove files, and the directory of the label if it is empty then."""
        del condition, note  # as in `replace`
        self._remove(names)
        if self.place.has_directory:
            remove_empty_label(self.place.root, self.place.label, self.directory)
        mark_emptied(self.place.root, has_directories=self.place.has_directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLabelWriter:
    """A label without a directory."""

    place: LabelPlace
    deadline: float
    """A time of the monotonic clock, for the wait for other writers."""

    def present(self, key: ConfigKey, names: Sequence[str]) -> Sequence[str]:
        """Return nothing."""
        del key, names
        return ()

    def directories(self, path: str) -> Collection[str]:
        """Return nothing."""
        del path
        return ()

    def read(self, path: str, *, limit: int, known: Hashable = None) -> None:
        """Return nothing."""
        del path, limit, known

    def replace(
        self,
        name: str,
        data: bytes,
        *,
        obsolete: Sequence[str] = (),
        condition: FileCondition,
        note: ChangeNote,
    ) -> str:
        """Make the directory with its first file, atomically.

        Raises:
            FilesChangedError: Another writer made the directory in the meantime.
        """
        del obsolete, condition, note
        place = self.place
        if not create_label(place.root, place.label, name=name, data=data, deadline=self.deadline):
            raise removed(place.label)
        return version_of(data)

    def remove(self, names: Sequence[str], *, condition: FileCondition, note: ChangeNote) -> None:
        """Do nothing: there are no files."""
        del names, condition, note


def removed(label: str) -> FilesChangedError:
    """Return the error for a directory that was replaced or removed while it was open."""
    return FilesChangedError(f"the directory of '{label}' keeps being replaced or removed")


def _changed(where: str) -> FilesChangedError:
    return FilesChangedError(f"'{where}' keeps being changed")


def version_of(data: bytes) -> str:
    """Return the version of a file: the SHA-256 digest of its bytes."""
    return hashlib.sha256(data).hexdigest()
