"""The files of one commit, for reading."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

from pyfly.config_core import ConfigFormatError, ConfigKey
from pyfly.config_git._cat_file import TooLargeError
from pyfly.config_git._objects import Objects
from pyfly.config_server.files import UNCHANGED, FileContent, IrregularFileError, Unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitView:
    """The files of a commit. They cannot change."""

    objects: Objects
    commit: str | None
    """`None` for a branch that does not exist yet."""
    deadline: float
    """Of all calls, a time of the monotonic clock."""

    def present(self, key: ConfigKey, names: Sequence[str]) -> Sequence[str]:
        """Return the existing files, in the same order."""
        del key  # the layout has chosen the names
        return [name for name in names if self.blob(name) is not None]

    def directories(self, path: str) -> Collection[str]:
        """Return the names of the directories directly below a path, without hidden ones."""
        if self.commit is None:
            return ()
        tree = self.objects.root(self.commit, deadline=self.deadline)
        if path:
            found = self.objects.find(self.commit, path, deadline=self.deadline)
            if found is None or not found.is_directory:
                return ()
            tree = found.object_id
        entries = self.objects.directory(tree, deadline=self.deadline)
        return [name for name, one in entries.items() if one.is_directory and name[0] != "."]

    def blob(self, path: str) -> str | None:
        """Return the id of a file; `None` if there is none."""
        if self.commit is None:
            return None
        entry = self.objects.find(self.commit, path, deadline=self.deadline)
        return None if entry is None or entry.is_directory else entry.object_id

    def is_irregular(self, name: str) -> bool:
        """True if a link or a submodule has a name in the root."""
        if self.commit is None:
            return False
        tree = self.objects.root(self.commit, deadline=self.deadline)
        rows = self.objects.raw_directory(tree, deadline=self.deadline)
        return any(
            row.name == name.encode() and not (row.is_file or row.is_directory) for row in rows
        )

    def read(
        self, path: str, *, limit: int, known: Hashable = None
    ) -> FileContent | Unchanged | None:
        """Return a file; `None` if it does not exist. A link or a submodule is no file.

        Raises:
            IrregularFileError: The path is a directory.
            ConfigFormatError: The file is larger than `limit`.
        """
        if self.commit is None:
            return None
        entry = self.objects.find(self.commit, path, deadline=self.deadline)
        if entry is None:
            return None
        if entry.is_directory:
            raise IrregularFileError("not a regular file")
        if known == entry.object_id:
            return UNCHANGED
        try:
            data = self.objects.content(entry.object_id, limit=limit, deadline=self.deadline)
        except TooLargeError:
            raise ConfigFormatError(f"larger than {limit:,} bytes") from None
        return FileContent(data=data, identity=entry.object_id, version=entry.object_id)
