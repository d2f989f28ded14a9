"""Tree objects: the directories of a commit. Pure functions."""

import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pyfly.config_git._cat_file import DamagedCloneError

_DIRECTORY: Final = b"40000"
_NEW_FILE: Final = b"100644"
_HOSTILE: Final = re.compile(r"[\x00-\x1f\x7f/\\]")
_MODE: Final = re.compile(rb"[0-7]{5,7}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEntry:
    """One row of a tree object, as it is."""

    mode: bytes
    name: bytes
    object_id: str

    @property
    def is_directory(self) -> bool:
        """True for a directory. Old programs wrote a zero before its mode."""
        return stat.S_ISDIR(int(self.mode, 8))

    @property
    def is_file(self) -> bool:
        """True for a regular file; a link or a submodule is none."""
        return stat.S_ISREG(int(self.mode, 8))


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file or directory that may be served."""

    object_id: str
    is_directory: bool


def raw_entries(data: bytes, *, id_bytes: int) -> list[RawEntry]:
    """Return the rows of a tree object.

    Args:
        data: The content of the object.
        id_bytes: The length of an object id: 20 or 32.

    Raises:
        DamagedCloneError: It is not the content of a tree.
    """
    found: list[RawEntry] = []
    at = 0
    while at < len(data):
        end = data.find(b"\0", at)
        mode, blank, name = data[at:end].partition(b" ")
        at = end + 1 + id_bytes
        if end < 0 or not blank or not name or not _MODE.fullmatch(mode) or at > len(data):
            raise DamagedCloneError("a directory of the repository is damaged")
        found.append(RawEntry(mode=mode, name=name, object_id=data[end + 1 : at].hex()))
    return found


def served_entries(rows: Iterable[RawEntry]) -> dict[str, TreeEntry]:
    """Return the files and directories by name.

    Links, submodules and hostile names are left out: `.`, `..`, `.git`, control characters,
    slashes, and what is not UTF-8.
    """
    found: dict[str, TreeEntry] = {}
    for row in rows:
        if row.is_file or row.is_directory:
            try:
                name = row.name.decode()
            except UnicodeDecodeError:
                continue
            if name not in {".", ".."} and name.lower() != ".git" and not _HOSTILE.search(name):
                found[name] = TreeEntry(row.object_id, row.is_directory)
    return found


def tree_with(rows: Iterable[RawEntry], edits: Mapping[str, TreeEntry | None]) -> bytes:
    """Return the content of a tree with entries replaced, added or removed.

    Args:
        rows: The entries of the tree before. Those that are not edited stay as they are.
        edits: New entries by name; `None` for a removed one. The mode of a file stays.
    """
    kept = {row.name: row for row in rows}
    for text, entry in edits.items():
        name = text.encode()
        before = kept.pop(name, None)
        if entry is not None:
            mode = _DIRECTORY if entry.is_directory else _NEW_FILE
            if before is not None and before.is_file and not entry.is_directory:
                mode = before.mode
            kept[name] = RawEntry(mode=mode, name=name, object_id=entry.object_id)
    ordered = sorted(kept.values(), key=lambda row: row.name + b"/" * row.is_directory)
    return b"".join(
        b"%s %s\0%s" % (row.mode, row.name, bytes.fromhex(row.object_id)) for row in ordered
    )


def header_of(data: bytes, name: str) -> str | None:
    """Return the value of a header of a commit or tag object; `None` if there is none."""
    for line in data.partition(b"\n\n")[0].split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == name.encode():
            return value.decode(errors="replace")
    return None


def listed(entries: Mapping[str, TreeEntry]) -> dict[str, str | None]:
    """Return the files of a directory, without hidden ones, each with its version."""
    return {
        name: entry.object_id
        for name, entry in entries.items()
        if not entry.is_directory and not name.startswith(".")
    }
