"""Tree objects: the directories of a commit. Pure functions."""

import re
import stat
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from pyfly.config_git._cat_file import DamagedCloneError

_DIRECTORY: Final = b"40000"
_NEW_FILE: Final = b"100644"
_HOSTILE: Final = re.compile(r"[\x00-\x1f\x7f/\\]")
_ROWS: Final = {
    size: re.compile(rb"([0-7]{5,7}) ([^\0]+)\0(.{%d})" % size, re.DOTALL) for size in (20, 32)
}
"""A row of a tree by the length of its object ids. One search is much faster than a loop."""


class RawEntry(NamedTuple):
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


class TreeEntry(NamedTuple):
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
    rows = _rows(data, id_bytes)
    return [RawEntry(mode, name, object_id.hex()) for mode, name, object_id in rows]


def served_entries(data: bytes, *, id_bytes: int) -> dict[str, TreeEntry]:
    """Return the files and directories of a tree object by name.

    Links, submodules and hostile names are left out: `.`, `..`, `.git`, control characters,
    slashes, and what is not UTF-8.

    Args:
        data: The content of the object.
        id_bytes: The length of an object id: 20 or 32.

    Raises:
        DamagedCloneError: It is not the content of a tree.
    """
    found: dict[str, TreeEntry] = {}
    for mode, raw, object_id in _rows(data, id_bytes):
        is_directory = _is_served_directory(mode)
        name = None if is_directory is None else _served_name(raw)
        if name is not None and is_directory is not None:
            found[name] = TreeEntry(object_id.hex(), is_directory)
    return found


def _rows(data: bytes, id_bytes: int) -> list[tuple[bytes, bytes, bytes]]:
    """Return mode, name and id of each row."""
    rows: list[tuple[bytes, bytes, bytes]] = _ROWS[id_bytes].findall(data)
    size = len(rows) * (len(b" \0") + id_bytes) + sum(len(one[0]) + len(one[1]) for one in rows)
    if size != len(data):  # something lies between rows
        raise DamagedCloneError("a directory of the repository is damaged")
    return rows


@lru_cache(maxsize=64)
def _is_served_directory(mode: bytes) -> bool | None:
    """True for a directory, false for a regular file, `None` for a link or a submodule."""
    kind = int(mode, 8)
    return stat.S_ISDIR(kind) if stat.S_ISDIR(kind) or stat.S_ISREG(kind) else None


@lru_cache(maxsize=16_384)  # most names of a directory are those of the commit before
def _served_name(raw: bytes) -> str | None:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        return None
    is_hostile = name in {".", ".."} or name.lower() == ".git" or _HOSTILE.search(name)
    return None if is_hostile else name


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
