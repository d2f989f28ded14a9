"""Open directories of labels: for reading, and for one write while nobody else writes."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pyfly.config_core import ConfigKey
from pyfly.config_server.files.atomic import remove_files, replace_file
from pyfly.config_server.files.file_tree import (
    UNCHANGED,
    ChangeNote,
    FileCondition,
    FileContent,
    FilesChangedError,
    Unchanged,
)
from pyfly.config_server.files.label_directories import create_label, remove_empty_label
from pyfly.config_server.files.safe_io import open_file, opened, translated
from pyfly.config_server.files.settling import (
    FileIdentity,
    file_identity,
    identity_at,
    read_file,
    settled,
)

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
    """Where the directory of a label is."""

    root: Path
    label: str
    has_directory: bool
    """Whether the label has a directory of its own; else its files lie in the root."""

    def path(self, name: str) -> str:
        """Return where a file is, below the root."""
        return f"{self.label}/{name}" if self.has_directory else name


class DirectoryNames:
    """The names in directories that have not changed of late. Several threads may use it."""

    def __init__(self) -> None:
        self._listed: OrderedDict[str, tuple[FileIdentity, frozenset[str]]] = OrderedDict()
        self._guard = threading.Lock()

    def of(self, label: str, directory: int) -> frozenset[str] | None:
        """Return the names in the open directory of a label, `None` if it changed of late."""
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
    """The files of a label whose directory is open."""

    place: LabelPlace
    directory: int
    """Its descriptor."""
    names: DirectoryNames | None = field(default=None, repr=False)
    """What is known of directories; `None` to look at every name."""

    def present(self, key: ConfigKey, names: Sequence[str]) -> Sequence[str]:
        """Return those of several names that exist, in the same order."""
        del key  # looking at each name costs less than listing those of a bundle
        known = None if self.names is None else self.names.of(self.place.label, self.directory)
        if known is None:
            return [name for name in names if self._exists(name)]
        return [n for n in names if n in known or ("/" in n and self._exists(n))]

    def _exists(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.directory, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def read(
        self, path: str, *, limit: int, known: Hashable = None
    ) -> FileContent | Unchanged | None:
        """Return what a file holds, `None` when it does not exist.

        Raises:
            IrregularFileError: It is no regular file.
            ConfigFormatError: It is larger than `limit`.
            UnsettledFileError: It is being written; try again.
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
    """The files of a label whose directory is open and locked by this writer."""

    def read(
        self, path: str, *, limit: int, known: Hashable = None
    ) -> FileContent | Unchanged | None:
        """Return what a file holds as soon as it has settled."""
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
        """Put `data` under `name`, then remove the obsolete files.

        Raises:
            FilesChangedError: The directory has been removed.
        """
        del condition, note  # it was read under the lock; files have no history
        try:
            replace_file(self.directory, name, data)
        except FileNotFoundError as error:
            raise removed(self.place.label) from error
        remove_files(self.directory, obsolete)
        return version_of(data)

    def remove(self, names: Sequence[str], *, condition: FileCondition, note: ChangeNote) -> None:
        """Remove files, and the directory of the label with its last file."""
        del condition, note  # as in `replace`
        remove_files(self.directory, names)
        if self.place.has_directory:
            remove_empty_label(self.place.root, self.place.label, self.directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLabelWriter:
    """A label that has no directory yet."""

    place: LabelPlace
    deadline: float
    """Of the monotonic clock, for the wait for other writers."""

    def present(self, key: ConfigKey, names: Sequence[str]) -> Sequence[str]:
        """Return nothing."""
        del key, names
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
        """Make the directory with its first file in it, in one step.

        Raises:
            FilesChangedError: Somebody else made it meanwhile.
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
    """Return the error that the directory of a label is not the one that was opened."""
    return FilesChangedError(f"the directory of '{label}' keeps being replaced or removed")


def version_of(data: bytes) -> str:
    """Return the version of a file: its digest."""
    return hashlib.sha256(data).hexdigest()
