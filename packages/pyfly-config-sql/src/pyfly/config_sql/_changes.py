"""The changes since a cursor, from the table of revisions.

A cursor is the version of the last change with a digest of that change: the name of its bundle and
the time of the save in microseconds. Each version is committed before the next one is taken, so
the revisions above a version are exactly the changes after it. The digest distinguishes databases
with the same versions: in another database, or after a restored backup, the same version is
another change.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import Row

from pyfly.config_server.storage import BundleChange, ChangeBatch, EverythingChange
from pyfly.config_sql import _statements as statements
from pyfly.config_sql._content import version_number
from pyfly.config_sql._database import Database

MAX_CHANGES: Final = 1000
"""The largest number of changes that are named; more changes become `EverythingChange`."""
NO_CHANGES: Final = "0-empty"
"""The cursor of a store that was never written."""

_Rows = Sequence[Row[Any]]


async def changes_since(database: Database, cursor: str | None) -> ChangeBatch:
    """Return the present cursor, and the changes since `cursor`.

    One statement, which reads a single row while nothing changes. A second one follows for an
    unknown cursor, and for more than `MAX_CHANGES` changes.
    """
    since = None if cursor is None else _version_in(cursor)
    if cursor is not None and since is not None:
        rows = await database.rows(statements.changed(since, limit=MAX_CHANGES + 2))
        batch = continued(cursor, since, rows)
        if batch is not None:
            return batch
    newest = await database.rows(statements.newest_change())
    present = cursor_of(newest[0]) if newest else NO_CHANGES
    if cursor is None or cursor == present:
        return ChangeBatch(cursor=present)
    return ChangeBatch(cursor=present, changes=(EverythingChange(),))


def continued(cursor: str, since: int, rows: _Rows) -> ChangeBatch | None:
    """Return the changes after a cursor, each bundle once.

    Args:
        cursor: The cursor.
        since: The version in it.
        rows: The revisions from that version on, `MAX_CHANGES + 2` at most.

    Returns:
        `None` if the cursor belongs to another store, or if there are too many changes.
    """
    if cursor != NO_CHANGES:
        if not rows or rows[0].version != since or cursor_of(rows[0]) != cursor:
            return None
        rows = rows[1:]
    if len(rows) > MAX_CHANGES:
        return None
    keys = dict.fromkeys(statements.key_of(row) for row in rows)
    return ChangeBatch(
        cursor=cursor_of(rows[-1]) if rows else cursor,
        changes=tuple(BundleChange(key=key) for key in keys),
    )


def cursor_of(row: Row[Any]) -> str:
    """Return the cursor of a store after this change."""
    name = f"{row.label}/{row.application}/{row.profile}/{row.saved_at.isoformat()}"
    return f"{row.version}-{blake2b(name.encode(), digest_size=8).hexdigest()}"


def _version_in(cursor: str) -> int | None:
    """Return the version in a cursor, `None` if the text is not a cursor."""
    if cursor == NO_CHANGES:
        return 0
    number = version_number(cursor.partition("-")[0])
    return number or None
