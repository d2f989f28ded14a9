"""The tables: functions from a connection to bundles. Blocking."""

import contextlib
import json
import logging
import secrets
import sqlite3
from collections.abc import Generator, Iterator
from typing import Any, Final

from pyfly.config_core import ConfigFormatError, ConfigKey
from pyfly.config_server.storage import ConfigEntry, ConfigSource, Expected, check_expected

_log = logging.getLogger(__name__)

_SCHEMA: Final = (
    "PRAGMA journal_mode = WAL",  # readers do not wait for a writer
    "PRAGMA synchronous = FULL",  # a save that returned survives a crash of the machine
    """
    CREATE TABLE IF NOT EXISTS bundles (
        label TEXT NOT NULL, application TEXT NOT NULL, profile TEXT NOT NULL,
        version TEXT NOT NULL, properties TEXT NOT NULL,
        PRIMARY KEY (label, application, profile)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE IF NOT EXISTS revision (store TEXT NOT NULL, number INTEGER NOT NULL)",
)
_NEW_STORE: Final = "INSERT INTO revision SELECT ?, 0 WHERE NOT EXISTS (SELECT * FROM revision)"
_WHERE: Final = "WHERE label = ? AND application = ? AND profile = ?"
_ORDER: Final = "ORDER BY label, application, profile"


def prepare(connection: sqlite3.Connection) -> None:
    """Make missing tables."""
    for statement in _SCHEMA:
        connection.execute(statement)
    with writing(connection):
        connection.execute(_NEW_STORE, [secrets.token_hex(4)])


@contextlib.contextmanager
def writing(connection: sqlite3.Connection) -> Generator[None]:
    """Run a block as one transaction that excludes the writers of all processes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextlib.contextmanager
def reading(connection: sqlite3.Connection) -> Generator[None]:
    """Run a block in which all statements see the same state."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def fetch(connection: sqlite3.Connection, key: ConfigKey) -> ConfigSource | None:
    """Return one bundle, or `None`.

    Raises:
        ConfigFormatError: The stored text is damaged.
    """
    statement = f"SELECT version, properties FROM bundles {_WHERE}"  # noqa: S608 - a constant
    row = connection.execute(statement, key.sort_key).fetchone()
    return None if row is None else _source(key, *row)


def fetch_all(connection: sqlite3.Connection) -> list[ConfigSource]:
    """Return every readable bundle, ordered by label, application, profile."""
    return [*_readable(connection.execute(f"SELECT * FROM bundles {_ORDER}"))]  # noqa: S608


def entries(
    connection: sqlite3.Connection, *, label: str | None = None, after: ConfigKey | None = None
) -> list[ConfigEntry]:
    """Return names and versions in the order of a listing, without reading the properties."""
    conditions, values = ["1"], list[str]()
    if label is not None:
        conditions.append("label = ?")
        values.append(label)
    if after is not None:
        conditions.append("(label, application, profile) > (?, ?, ?)")
        values.extend(after.sort_key)
    where = " AND ".join(conditions)
    names = "label, application, profile, version"
    statement = f"SELECT {names} FROM bundles WHERE {where} {_ORDER}"  # noqa: S608 - constants
    rows = connection.execute(statement, values)
    return [ConfigEntry(key=_key(*row[:3]), version=row[3]) for row in rows]


def labels(connection: sqlite3.Connection) -> list[str]:
    """Return the labels that have a bundle, sorted."""
    return [row[0] for row in connection.execute("SELECT DISTINCT label FROM bundles ORDER BY 1")]


def commit(connection: sqlite3.Connection, source: ConfigSource, expected: Expected) -> str:
    """Store a bundle if `expected` holds; return its new version, never used before."""
    version = secrets.token_hex(8)
    row = [*source.key.sort_key, version, json.dumps(source.properties)]
    with writing(connection):
        _check(connection, source.key, expected)
        connection.execute("INSERT OR REPLACE INTO bundles VALUES (?, ?, ?, ?, ?)", row)
        _count(connection)
    return version


def delete(connection: sqlite3.Connection, key: ConfigKey, expected: Expected) -> None:
    """Remove a bundle if `expected` holds."""
    with writing(connection):
        _check(connection, key, expected)
        if connection.execute(f"DELETE FROM bundles {_WHERE}", key.sort_key).rowcount:  # noqa: S608
            _count(connection)


def revision(connection: sqlite3.Connection) -> str:
    """Return a text that changes with every write and is the same in every process."""
    store, number = connection.execute("SELECT store, number FROM revision").fetchone()
    return f"{store}-{number}"


def _check(connection: sqlite3.Connection, key: ConfigKey, expected: Expected) -> None:
    statement = f"SELECT version FROM bundles {_WHERE}"  # noqa: S608 - a constant
    row = connection.execute(statement, key.sort_key).fetchone()
    check_expected(key, expected=expected, current=None if row is None else row[0])


def _count(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE revision SET number = number + 1")


def _key(label: str, application: str, profile: str) -> ConfigKey:
    return ConfigKey(application=application, profile=profile, label=label)


def _readable(rows: Iterator[Any]) -> Iterator[ConfigSource]:
    for label, application, profile, version, text in rows:
        try:
            yield _source(_key(label, application, profile), version, text)
        except ConfigFormatError as error:
            _log.warning("left out of a listing: %s", error)


def _source(key: ConfigKey, version: str, text: str) -> ConfigSource:
    try:
        return ConfigSource(
            application=key.application,
            profile=key.profile,
            label=key.label,
            properties=json.loads(text),
            version=version,
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = "the stored properties are not a JSON object"
        raise ConfigFormatError(reason, where=str(key)) from error
