"""The changes in the store, found by comparing its versions with those of the last call."""

import sqlite3
import threading

from pyfly.config_core import ConfigKey
from pyfly.config_server.storage import BundleChange, ChangeBatch, ChangeJournal
from pyfly_config_template._tables import entries, reading, revision


class ChangeObserver:
    """Keeps the versions of all bundles, and the changes between calls.

    A store that keeps a list of changes does not need this class: its cursor is the number of the
    last change, and it returns the later changes.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._journal: ChangeJournal | None = None
        self._seen: dict[ConfigKey, str | None] = {}

    def since(self, connection: sqlite3.Connection, cursor: str | None) -> ChangeBatch:
        """Compare the store with the last call, then return the changes since `cursor`.

        Reads one row while nothing changes, otherwise the names and versions of all bundles.
        """
        with self._guard, reading(connection):  # one thread at a time
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
