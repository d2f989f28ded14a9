"""The files of a SQLite database, and whether they are still those that were opened.

SQLite goes on working with a file that was removed or replaced, and with a removed write-ahead
log. What is committed then is lost with the last connection.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from sqlalchemy.ext.asyncio import AsyncEngine

_SUFFIXES: Final = ("", "-wal", "-shm")

_Identity: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSeen:
    """The identities of the files of a database at one moment."""

    identities: tuple[_Identity | None, ...]
    """Device and inode of the database, its log and its shared memory; `None` for a missing one."""

    @property
    def exists(self) -> bool:
        """True if the database itself is there."""
        return self.identities[0] is not None

    def are_of(self, opened: "FilesSeen") -> bool:
        """True if every file that was there when the database was opened is there still."""
        pairs = zip(opened.identities, self.identities, strict=True)
        return all(before is None or before == now for before, now in pairs)


class SqliteFiles:
    """Reads the identities of the files of a database."""

    def __init__(self, path: Path) -> None:
        self._paths = [Path(f"{path}{suffix}") for suffix in _SUFFIXES]

    @classmethod
    def of(cls, engine: AsyncEngine) -> "SqliteFiles | None":
        """Return the files of an engine; `None` if it is not a SQLite database in a file."""
        name = engine.url.database
        if engine.dialect.name != "sqlite" or not name or name.startswith((":", "file:")):
            return None
        return cls(Path(name).absolute())

    def look(self) -> FilesSeen:
        """Return the current identities. Takes a few microseconds and opens no file."""
        return FilesSeen(identities=tuple(map(_identity, self._paths)))


def _identity(path: Path) -> _Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
