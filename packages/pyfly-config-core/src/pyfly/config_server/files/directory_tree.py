"""The tree in a directory: a subdirectory for each label, or the files of one label."""

import contextlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import ClassVar, Final

from pyfly.config_core import ConfigKey
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.files.atomic import locked, replace_file
from pyfly.config_server.files.directory_scan import DirectoryScanner, TakeReported
from pyfly.config_server.files.directory_views import (
    DirectoryNames,
    DirectoryView,
    DirectoryWriter,
    LabelPlace,
    NewLabelWriter,
    removed,
)
from pyfly.config_server.files.emptied import looks_lost
from pyfly.config_server.files.file_tree import (
    ChangeNote,
    FileChanges,
    FileContent,
    FilesChangedError,
    FileWriter,
    IrregularFileError,
    Listing,
)
from pyfly.config_server.files.safe_io import open_inside, open_root, opened, translated
from pyfly.config_server.files.walk import list_directory, walk_files, walk_labels
from pyfly.config_server.storage import ResourceEntry

__all__ = ["DirectoryTree"]


class DirectoryTree:
    """Files in directories. Safe for use from several threads and processes.

    Links out of the root are refused. Deadlines limit the wait for other writers; a system call
    cannot be interrupted.

    Args:
        root: The root directory, which must exist when a method is called.
        label: The only label, with its files in the root itself; `None` for a directory for each
            label.
        reported: What the file system has reported, which makes scans cheaper.
    """

    is_slow: ClassVar = False
    lists_versions: ClassVar = False
    locks_writers: ClassVar = True

    def __init__(
        self, root: Path, *, label: str | None = None, reported: TakeReported = lambda: None
    ) -> None:
        self.root: Final = root
        self.label: Final = label
        self._names = DirectoryNames()
        self._scanner = DirectoryScanner(root, reported=reported)

    # --- reading ----------------------------------------------------------------------

    @contextlib.contextmanager
    def view(self, label: str, *, deadline: float) -> Generator[DirectoryView | None]:
        """Open the directory of a label for reading."""
        del deadline
        with translated(f"open '{label}'"):
            directory = self._open(label)
        if directory is None:
            yield None
            return
        with translated(f"read '{label}'"), opened(directory):
            yield DirectoryView(place=self._place(label), directory=directory, names=self._names)

    def has_label(self, label: str, *, deadline: float) -> bool:
        """True if the label has a directory."""
        with self.view(label, deadline=deadline) as view:
            return view is not None

    def listing(
        self, label: str | None, *, with_versions: bool, deep: bool = False, deadline: float
    ) -> Listing:
        """Return the paths of files. In a listing of all labels, an unreadable label has `None`."""
        del with_versions, deadline
        with translated("list the root" if label is None else f"list '{label}'"):
            if self.label is not None:
                names = list_directory(self.root, "")
                paths = self._paths_below() if deep else ()
                return {self.label: dict.fromkeys((*names, *paths))}
            if label is not None:
                return {label: dict.fromkeys(list_directory(self.root, label))}
            return {
                found: None if names is None else dict.fromkeys(names)
                for found, names in walk_labels(self.root).items()
            }

    def _paths_below(self) -> Iterator[str]:
        """Yield the paths of the files in subdirectories that are not hidden."""
        for directory, names in walk_labels(self.root).items():
            yield from (f"{directory}/{name}" for name in names or ())

    def files(self, label: str, *, deadline: float) -> Iterator[ResourceEntry]:
        """Yield all files below the directory of a label, without unreadable directories."""
        del deadline
        if self.label in {None, label}:
            yield from walk_files(self.root, "" if self.label is not None else label)

    def looks_lost(self, *, deadline: float) -> bool:
        """True if the root has no directory, or no file if it is the directory of a label.

        An unmounted volume leaves such a root behind. Hidden names do not count. False if a store
        removed the last bundle of this root at any time.
        """
        del deadline
        with translated("list the root"):
            return looks_lost(self.root, has_directories=self.label is None)

    def changes(self, *, deadline: float) -> FileChanges:
        """Scan the names, sizes, inodes and times of all files."""
        del deadline
        with translated("list the root"):
            return self._scanner.scan()

    def check(self, *, deadline: float) -> None:
        """Return if the root can be opened and listed."""
        del deadline
        with (
            translated("list the root"),
            opened(open_root(self.root)) as directory,
            os.scandir(directory) as entries,
        ):
            next(entries, None)

    # --- writing ----------------------------------------------------------------------

    def is_writable(self) -> bool:
        """True unless the root is on a file system that is mounted read-only."""
        try:
            return not os.statvfs(self.root).f_flag & os.ST_RDONLY
        except OSError:
            return True  # a missing root is an error for reads and writes

    def turn(self, key: ConfigKey) -> str:
        """Return the label, because a writer locks the directory of the label."""
        return key.label

    @contextlib.contextmanager
    def writer(self, key: ConfigKey, *, deadline: float) -> Generator[FileWriter]:
        """Open the directory of a label and hold its lock, which excludes other processes, too."""
        place = self._place(key.label)
        with translated(f"write '{key.label}/{key.stem}'"):
            directory = self._open(key.label)
            if directory is None:
                yield NewLabelWriter(place=place, deadline=deadline)
                return
            with opened(directory), locked(directory, what=f"'{key.label}'", deadline=deadline):
                if not self._is_in_place(key.label, directory):
                    raise removed(key.label)
                yield DirectoryWriter(place=place, directory=directory)

    # --- beside the bundles -----------------------------------------------------------

    def read_hidden(self, name: str, *, limit: int, deadline: float) -> bytes | None:
        """Return a hidden file of the root, `None` if it does not exist.

        Raises:
            UnsettledFileError: A person is writing it; try again.
        """
        del deadline
        with translated(f"read '{name}'"), opened(open_root(self.root)) as directory:
            return self._read_hidden(directory, name, limit)

    def replace_hidden(
        self,
        name: str,
        data: bytes,
        *,
        expected: bytes | None,
        note: ChangeNote,
        deadline: float,
    ) -> None:
        """Replace a hidden file of the root, under the lock of the root."""
        del note  # files have no history
        with (
            translated(f"write '{name}'"),
            opened(open_root(self.root)) as directory,
            locked(directory, what="the root", deadline=deadline),
        ):
            if self._read_hidden(directory, name, MAX_DOCUMENT_BYTES) != expected:
                raise FilesChangedError(f"'{name}' keeps changing")
            replace_file(directory, name, data)

    def _read_hidden(self, directory: int, name: str, limit: int) -> bytes | None:
        place = LabelPlace(root=self.root, label="", has_directory=False)
        found = DirectoryView(place=place, directory=directory).read(name, limit=limit)
        if isinstance(found, FileContent):
            return found.data
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=directory, follow_symlinks=False)
            raise IrregularFileError("a link that leads to no file of the store")
        return None

    def _is_in_place(self, label: str, directory: int) -> bool:
        """True if an open directory is still the directory of the label."""
        now = self._open(label)  # refuses a link out of the root
        if now is None:
            return False
        with opened(now):
            return os.path.samestat(os.fstat(now), os.fstat(directory))

    def _open(self, label: str) -> int | None:
        if self.label is None:
            return open_inside(self.root, label)
        return open_root(self.root) if label == self.label else None

    def _place(self, label: str) -> LabelPlace:
        return LabelPlace(root=self.root, label=label, has_directory=self.label is None)
