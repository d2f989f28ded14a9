"""What changed in the file, by comparing what was seen before with what is there now."""

import hashlib
import threading
import time
from collections.abc import Mapping
from typing import Final

from pyfly.config_core import ConfigKey
from pyfly.config_server.storage import BundleChange, ChangeBatch, ChangeJournal
from pyfly_config_example._file import BundleFile, FileIdentity

_SETTLED_NS: Final = 100_000_000
"""A younger file may have been replaced by one that looks the same: clocks of disks are coarse."""


class ChangeObserver:
    """Remembers the versions of all bundles, and what differed from one look to the next."""

    def __init__(self, file: BundleFile) -> None:
        self._file = file
        self._guard = threading.Lock()
        self._identity: FileIdentity | None = None
        self._journal: ChangeJournal | None = None
        self._seen: dict[ConfigKey, str | None] = {}

    def since(self, cursor: str | None) -> ChangeBatch:
        """Look at the file, then return what changed since `cursor`."""
        with self._guard:  # looks of two threads come one after the other
            identity = self._file.identity()  # before the content, or a change would be missed
            journal = self._journal
            if journal is None or identity != self._identity:
                journal = self._journal = self._look()
                age = time.time_ns() - identity.changed_ns
                self._identity = identity if age > _SETTLED_NS else None
            return journal.since(cursor)

    def _look(self) -> ChangeJournal:
        versions = {key: source.version for key, source in self._file.read().items()}
        cursor = _digest(versions)
        journal = self._journal or ChangeJournal(cursor)
        differing = dict(versions.items() ^ self._seen.items())
        journal.append(cursor, [BundleChange(key=key) for key in differing])
        self._seen = versions
        return journal


def _digest(versions: Mapping[ConfigKey, str | None]) -> str:
    """Return a text that is the same in every process that sees the same versions."""
    rows = (f"{key.sort_key} {version}" for key, version in versions.items())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
