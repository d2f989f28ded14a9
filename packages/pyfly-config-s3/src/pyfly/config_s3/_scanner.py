"""Passes over a bucket: which objects appeared, changed or vanished since the pass before."""

import hashlib
import threading
from collections.abc import Iterable
from typing import TypeAlias

from pyfly.config_s3._object_layout import directories_of, is_hidden
from pyfly.config_s3._objects import StoredName
from pyfly.config_server.files import FileChanges

_State: TypeAlias = tuple[str, int, str]
"""Entity tag, size, time of the last change."""


class BucketScanner:
    """Compares listings of all objects below a prefix. Hidden names do not count.

    The cursor is a digest of names, entity tags, sizes and times: the same in every process.
    """

    def __init__(self) -> None:
        self._before: dict[str, _State] | None = None
        self._directories: frozenset[str] = frozenset()
        self._guard = threading.Lock()

    def compare(self, rows: Iterable[StoredName]) -> FileChanges:
        """Return the state that a whole listing tells, and what changed since the last one."""
        now: dict[str, _State] = {
            row.name: (row.etag, row.size, row.modified.isoformat())
            for row in rows
            if not is_hidden(row.name)
        }
        directories = frozenset(directories_of(now))
        with self._guard:
            before, self._before = self._before, now
            known, self._directories = self._directories, directories
        cursor = _digest(now)
        if before is None:
            return FileChanges(cursor=cursor)
        changed = {name for name, _ in before.items() ^ now.items()}
        return FileChanges(cursor=cursor, paths=changed, directories=known ^ directories)


def _digest(states: dict[str, _State]) -> str:
    digest = hashlib.sha256()
    for name in sorted(states):
        digest.update(repr((name, *states[name])).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
