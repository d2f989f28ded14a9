"""Tree objects: the directories of a commit. Pure functions."""

import re
import stat
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from pyfly.config_git._cat_file import DamagedCloneError

_DIRECTORY: Final = b"40000"
_NEW_FILE: Final = b"100644"
_HOSTILE: Final = re.compile(r"[\x00-\x1f\x7f/\\]")
_ROWS: Final = {
    size: re.compile(rb"([0-7]{5,7}) ([^\0]+)\0(.{%d})" % size, re.DOTALL) for size in (20, 32)
}
"""A row of a tree by the length of its object ids. One search is much faster than a loop."""
_Row = tuple[bytes, bytes, bytes]
"""Mode, name and id."""
_MOST_DIFFERENCES: Final = 100
_FIRST_STEP: Final = 64
_MARKS: Final = len(b" \0")
"""The bytes of a row beside its mode, its name and its object id."""


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
    rows, _ = _rows(data, id_bytes)
    return [RawEntry(mode, name, object_id.hex()) for mode, name, object_id in rows]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Directory:
    """A tree object, and what of it may be served."""

    data: bytes = field(repr=False)
    """The content of the object."""
    lengths: Sequence[int] = field(repr=False)
    """The bytes of each row."""
    served: int
    """The number of rows that may be served. If it is that of `entries`, no name is there twice."""
    entries: Mapping[str, TreeEntry]
    """The files and directories that may be served, in no particular order."""


EMPTY: Final = Directory(data=b"", lengths=(), served=0, entries={})


def parse_directory(data: bytes, *, id_bytes: int) -> Directory:
    """Return a tree object with its files and directories by name.

    Links, submodules and hostile names are left out: `.`, `..`, `.git`, control characters,
    slashes, and what is not UTF-8.

    Args:
        data: The content of the object.
        id_bytes: The length of an object id: 20 or 32.

    Raises:
        DamagedCloneError: It is not the content of a tree.
    """
    rows, lengths = _rows(data, id_bytes)
    served = [*_served(rows)]
    return Directory(data=data, lengths=lengths, served=len(served), entries=dict(served))


def next_directory(before: Directory, data: bytes, *, id_bytes: int) -> Directory:
    """Return what `parse_directory` returns. Only rows that are not in `before` are parsed.

    Raises:
        DamagedCloneError: It is not the content of a tree.
    """
    found = _difference(before, data, id_bytes)
    if found is None:
        return parse_directory(data, id_bytes=id_bytes)
    removed, added = [*_served(found.removed)], [*_served(found.added)]
    new = dict(added)
    entries = {**before.entries, **new}
    for name in dict(removed).keys() - new.keys():
        del entries[name]
    served = before.served - len(removed) + len(added)
    if served != len(entries):  # a name is there twice
        return parse_directory(data, id_bytes=id_bytes)
    return Directory(data=data, lengths=found.lengths, served=served, entries=entries)


def changed_names(before: Directory, after: Directory, *, id_bytes: int) -> list[str]:
    """Return the names whose files or directories differ, in no particular order."""
    found = _difference(before, after.data, id_bytes)
    if found is None:
        names: Iterable[str] = before.entries.keys() | after.entries.keys()
    else:
        names = dict(_served([*found.removed, *found.added]))
    return [one for one in names if before.entries.get(one) != after.entries.get(one)]


class _Difference(NamedTuple):
    """The rows by which two trees differ."""

    removed: list[_Row]
    added: list[_Row]
    lengths: list[int]
    """Of all rows of the second."""


def _difference(before: Directory, data: bytes, id_bytes: int) -> _Difference | None:
    """Compare a tree with other content, without looking at each row that is the same.

    `None` if all has to be parsed: they differ in more than a hundred rows, a name is there twice,
    or it is not the content of a tree.
    """
    if before.served != len(before.entries):
        return None
    pattern = _ROWS[id_bytes]
    starts = [0, *accumulate(before.lengths)]
    removed: list[_Row] = []
    added: list[_Row] = []
    lengths: list[int] = []
    row = at = 0  # in the tree before, and in the data
    while len(removed) + len(added) <= _MOST_DIFFERENCES:
        same = _same_bytes(before.data, starts[row], data, at)
        following = bisect_right(starts, starts[row] + same) - 1
        lengths += before.lengths[row:following]
        at += starts[following] - starts[row]
        row = following
        old, new = pattern.match(before.data, starts[row]), pattern.match(data, at)
        if old is None and new is None:
            return _Difference(removed, added, lengths) if at == len(data) else None
        is_removed = new is None or (old is not None and _order(old) <= _order(new))
        is_added = old is None or (new is not None and _order(new) <= _order(old))
        if old is not None and is_removed:
            removed.append((old[1], old[2], old[3]))
            row += 1
        if new is not None and is_added:
            added.append((new[1], new[2], new[3]))
            lengths.append(len(new[0]))
            at = new.end()
    return None


def _order(row: re.Match[bytes]) -> bytes:
    """Return the place of a row in the order of a tree."""
    name: bytes = row[2] + (b"/" if _is_served_directory(row[1]) else b"")
    return name


def _same_bytes(one: bytes, start: int, other: bytes, at: int) -> int:
    """Return how many bytes are the same from there on. Long parts are compared at once."""
    most = min(len(one) - start, len(other) - at)
    low, step = 0, _FIRST_STEP
    while low < most and one[start + low : start + low + step] == other[at + low : at + low + step]:
        low += step
        step *= 2
    if low >= most:
        return most
    high = min(most, low + step)
    while low < high:
        middle = (low + high + 1) // 2
        if one[start + low : start + middle] == other[at + low : at + middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _served(rows: Iterable[_Row]) -> Iterator[tuple[str, TreeEntry]]:
    """Yield the files and directories in rows."""
    for mode, raw, object_id in rows:
        is_directory = _is_served_directory(mode)
        name = None if is_directory is None else _served_name(raw)
        if name is not None and is_directory is not None:
            yield name, TreeEntry(object_id.hex(), is_directory)


def _rows(data: bytes, id_bytes: int) -> tuple[list[_Row], list[int]]:
    """Return mode, name and id of each row, and the lengths of all."""
    rows: list[_Row] = _ROWS[id_bytes].findall(data)
    fixed = id_bytes + _MARKS
    lengths = [len(mode) + len(name) + fixed for mode, name, _ in rows]
    if sum(lengths) != len(data):  # something lies between rows
        raise DamagedCloneError("a directory of the repository is damaged")
    return rows, lengths


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
    """Return the first header of a name of a commit or tag object; `None` if there is none."""
    return next(iter(headers_of(data, name)), None)


def headers_of(data: bytes, name: str) -> list[str]:
    """Return the values of all headers of a name of a commit or tag object."""
    rows = (line.partition(b" ") for line in data.partition(b"\n\n")[0].split(b"\n"))
    return [value.decode(errors="replace") for key, _, value in rows if key == name.encode()]


def listed(entries: Mapping[str, TreeEntry]) -> dict[str, str | None]:
    """Return the files of a directory, without hidden ones, each with its version."""
    return {
        name: entry.object_id
        for name, entry in entries.items()
        if not entry.is_directory and not name.startswith(".")
    }
