"""What changed in the store, by comparing what was seen before with what is there now."""

import sqlite3
import threading

from pyfly.config_core import ConfigKey
from pyfly.config_server.storage import BundleChange, ChangeBatch, ChangeJournal
from pyfly_config_template._tables import entries, reading, revision


class ChangeObserver:
    """Remembers the versions of all bundles, and what differed from one look to the next.

    A store that keeps a list of changes does not need this class: its cursor is the number of
    the last one, and it returns those that are newer.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._journal: ChangeJournal | None = None
        self._seen: dict[ConfigKey, str | None] = {}

    def since(self, connection: sqlite3.Connection, cursor: str | None) -> ChangeBatch:
        """Look at the store, then return what changed since `cursor`.

        One row is read while nothing changes, the names and versions of all bundles otherwise.
        """
        with self._guard, reading(connection):  # looks of two threads come in order
            present = revision(connection)
            journal = self._journal
            if journal is None or journal.cursor != present:
                journal = self._journal = self._look(connection, present)
            return journal.since(cursor)

    def _look(self, connection: sqlite3.Connection, present: str) -> ChangeJournal:
        versions = {entry.key: entry.version for entry in entries(connection)}
        journal = self._journal or ChangeJournal(present)
        differing = dict(versions.items() ^ self._seen.items())
        journal.append(present, [BundleChange(key=key) for key in differing])
        self._seen = versions
        return journal
