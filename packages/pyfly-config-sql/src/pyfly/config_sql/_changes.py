"""What changed since a cursor, read from the revisions.

A cursor is the version of the last change together with a digest of that change: the name of its
bundle, and when it was saved, in microseconds. Versions are given out one at a time, and each is
committed before the next one is taken, so the revisions above a version are exactly what was
changed after it. The digest tells stores apart that count alike: in another database, or in one
that was restored from a backup and written again, the same version is another change.
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
"""Changes that are named one by one; of more than these nothing but their being there is told."""
NO_CHANGES: Final = "0-empty"
"""The cursor of a store that was never written."""

_Rows = Sequence[Row[Any]]


async def changes_since(database: Database, cursor: str | None) -> ChangeBatch:
    """Return the present cursor, and the changes since `cursor`.

    One statement, which reads a single row while nothing changes. A second one follows for a
    cursor that is not known here, and after more than `MAX_CHANGES` changes.
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
    """Return the changes that follow a cursor, each bundle once.

    Args:
        cursor: Where to go on from.
        since: The version in it.
        rows: The revisions from that version on, `MAX_CHANGES + 2` at most.

    Returns:
        `None` if the cursor is of another store, or if there are too many changes.
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
    """Return the cursor of a store whose last change is this one."""
    name = f"{row.label}/{row.application}/{row.profile}/{row.saved_at.isoformat()}"
    return f"{row.version}-{blake2b(name.encode(), digest_size=8).hexdigest()}"


def _version_in(cursor: str) -> int | None:
    """Return the version that a cursor names, `None` if it is no cursor."""
    if cursor == NO_CHANGES:
        return 0
    number = version_number(cursor.partition("-")[0])
    return number or None
