"""Scanning a bucket for added, changed and removed objects."""

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from pyfly.config_s3._object_layout import directories_of, is_hidden
from pyfly.config_s3._objects import StoredName
from pyfly.config_server.files import FileChanges

_State: TypeAlias = tuple[str, int, datetime]
"""Entity tag, size, time of the last change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """The result of one scan."""

    states: Mapping[str, _State]
    directories: frozenset[str]
    cursor: str


class BucketScanner:
    """Compares listings of all objects below a prefix. Ignores hidden names.

    The cursor is a digest of names, entity tags, sizes and times: the same in every process.
    """

    def __init__(self) -> None:
        self._before: _Scan | None = None
        self._guard = threading.Lock()

    def compare(self, rows: Iterable[StoredName]) -> FileChanges:
        """Return the cursor for a complete listing, and the changes since the last listing."""
        states = {
            row.name: (row.etag, row.size, row.modified) for row in rows if not is_hidden(row.name)
        }
        with self._guard:
            before = self._before
            if before is not None and before.states == states:
                return FileChanges(cursor=before.cursor)
            now = self._before = _Scan(
                states=states,
                directories=frozenset(directories_of(states)),
                cursor=_digest(states),
            )
        if before is None:
            return FileChanges(cursor=now.cursor)
        return FileChanges(
            cursor=now.cursor,
            paths={name for name, _ in before.states.items() ^ states.items()},
            directories=before.directories ^ now.directories,
        )


def _digest(states: Mapping[str, _State]) -> str:
    digest = hashlib.sha256()
    for name, (etag, size, modified) in sorted(states.items()):
        line = f"{name}\0{etag}\0{size}\0{modified.timestamp()}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
