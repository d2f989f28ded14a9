"""The SQL statements as values. No database is used here."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Insert,
    Select,
    Update,
    and_,
    insert,
    or_,
    select,
    true,
    tuple_,
    update,
)

from pyfly.config_core import ConfigKey
from pyfly.config_sql._schema import bundle, freezes, revision, sequence

Rows: TypeAlias = Select[*tuple[Any, ...]]
KeyRow: TypeAlias = tuple[str, str, str]
"""Label, application, profile: the order of listings."""

_NAME: Final = (bundle.c.label, bundle.c.application, bundle.c.profile)
_CHANGES: Final = select(
    revision.c.label,
    revision.c.application,
    revision.c.profile,
    revision.c.version,
    revision.c.saved_at,
)


def key_of(row: Sequence[Any]) -> ConfigKey:
    """Return the key in the first three columns of a row."""
    label, application, profile = row[:3]
    return ConfigKey(application=application, profile=profile, label=label)


def snapshot(keys: Sequence[ConfigKey]) -> Rows:
    """Read the current versions of bundles. The properties of removed bundles are NULL.

    The result may have further rows, for all combinations of the names. Requests need all
    combinations anyway, and every database finds them by its primary key.
    """
    return (
        select(*_NAME, bundle.c.version, revision.c.properties)
        .join(revision, revision.c.version == bundle.c.version)
        .where(*_are(keys))
    )


def names(label: str | None, after: ConfigKey | None, *, limit: int, dialect: str) -> Rows:
    """Read the next names and versions of a listing."""
    statement = select(*_NAME, bundle.c.version).where(bundle.c.removed.is_(False))
    return _page(statement, label, after, dialect).limit(limit)


def contents(after: ConfigKey | None, *, limit: int, dialect: str) -> Rows:
    """Read the next bundles of a listing, with their properties."""
    statement = (
        select(*_NAME, bundle.c.version, revision.c.properties)
        .join(revision, revision.c.version == bundle.c.version)
        .where(bundle.c.removed.is_(False))
    )
    return _page(statement, None, after, dialect).limit(limit)


def _page(statement: Rows, label: str | None, after: ConfigKey | None, dialect: str) -> Rows:
    if label is not None:
        statement = statement.where(bundle.c.label == label)
    if after is not None:
        statement = statement.where(_is_after(after.sort_key, dialect))
    return statement.order_by(*_NAME)


def _is_after(place: KeyRow, dialect: str) -> ColumnElement[bool]:
    """Compare rows in the form with which the database uses its primary key."""
    if dialect not in {"mysql", "mariadb"}:
        return tuple_(*_NAME) > tuple_(*place)
    (label, application, profile), (first, second, third) = _NAME, place
    return or_(
        label > first,
        and_(label == first, application > second),
        and_(label == first, application == second, profile > third),
    )


def labels() -> Rows:
    """Read the labels that have a bundle, sorted."""
    return (
        select(bundle.c.label)
        .distinct()
        .where(bundle.c.removed.is_(False))
        .order_by(bundle.c.label)
    )


def carries(label: str) -> Rows:
    """Read one row if a label has a bundle."""
    carried = (bundle.c.label == label, bundle.c.removed.is_(False))
    return select(bundle.c.label).where(*carried).limit(1)


def history(key: ConfigKey, *, limit: int, newest: int | None) -> Rows:
    """Read the changes of a bundle, the newest first, without properties.

    Every database finds them in the unique index that ends with the version. MariaDB needs the
    hint: without it, it reads from the newest version on and skips those of other bundles.

    Args:
        key: The name of the bundle.
        limit: The largest number of rows.
        newest: The highest version to read; by default all versions.
    """
    not_newer = true() if newest is None else revision.c.version <= newest
    statement = (
        select(
            revision.c.version,
            revision.c.saved_at,
            revision.c.author,
            revision.c.message,
            revision.c.properties.is_(None).label("removed"),
        )
        .where(*_is(key, revision), not_newer)
        .order_by(revision.c.version.desc())
        .limit(limit)
    )
    for dialect in ("mysql", "mariadb"):  # an index has the name of its first column
        statement = statement.with_hint(revision, "FORCE INDEX (label)", dialect)
    return statement


def old_version(key: ConfigKey, version: int) -> Rows:
    """Read one version of a bundle."""
    return select(revision.c.version, revision.c.properties).where(
        *_is(key, revision), revision.c.version == version
    )


def last_version() -> Rows:
    """Read the version of the last change of anything."""
    return select(sequence.c.version)


def changed(since: int, *, limit: int) -> Rows:
    """Read a version and all later changes, in order."""
    return _CHANGES.where(revision.c.version >= since).order_by(revision.c.version).limit(limit)


def newest_change() -> Rows:
    """Read the last change of anything."""
    return _CHANGES.order_by(revision.c.version.desc()).limit(1)


def freezes_text() -> Rows:
    """Read the text of the freezes: one row, or none."""
    return select(freezes.c.text)


# --- writing --------------------------------------------------------------------------


def lock_sequence() -> Rows:
    """Read and lock the version of the last change; other writers wait for the transaction.

    SQLite has no such clause: its writers wait at the beginning of the transaction.
    """
    return last_version().with_for_update()


def current_versions(keys: Sequence[ConfigKey]) -> Rows:
    """Read the current versions of bundles that were ever stored, and possibly further rows."""
    return select(*_NAME, bundle.c.version, bundle.c.removed).where(*_are(keys))


def first_versions() -> Insert:
    """Insert the current version of new bundles."""
    return insert(bundle)


def next_version(key: ConfigKey, previous: int, version: int, *, removed: bool) -> Update:
    """Update the current version of a bundle, if the previous one is still current."""
    return (
        update(bundle)
        .where(*_is(key, bundle), bundle.c.version == previous)
        .values(version=version, removed=removed)
    )


def record() -> Insert:
    """Insert the content of new versions."""
    return insert(revision)


def move_sequence(before: int, last: int) -> Update:
    """Update the version of the last change, if no other writer has changed it."""
    return update(sequence).where(sequence.c.version == before).values(version=last)


def store_freezes(text: str, *, is_new: bool) -> Insert | Update:
    """Insert or update the text of the freezes."""
    if is_new:
        return insert(freezes).values(id=1, text=text)
    return update(freezes).values(text=text)


def columns_of(key: ConfigKey) -> dict[str, str]:
    """Return the key by the names of its columns."""
    return {"label": key.label, "application": key.application, "profile": key.profile}


def _are(keys: Sequence[ConfigKey]) -> Iterator[ColumnElement[bool]]:
    names = zip(*(key.sort_key for key in keys), strict=True)
    return (column.in_(sorted(set(each))) for column, each in zip(_NAME, names, strict=True))


def _is(key: ConfigKey, table: Any) -> tuple[ColumnElement[bool], ...]:
    label, application, profile = key.sort_key
    return (
        table.c.label == label,
        table.c.application == application,
        table.c.profile == profile,
    )
