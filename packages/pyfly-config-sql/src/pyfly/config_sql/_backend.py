"""The storage interface in terms of statements; which database it is matters little here."""

import asyncio
import builtins
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC
from typing import Any, Final, Self

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from pyfly.config_core import (
    DEFAULT_LABEL,
    ConfigFormatError,
    ConfigKey,
    ConfigNotFoundError,
    check_name,
)
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS
from pyfly.config_server.storage import (
    ANY,
    ConfigEntry,
    ConfigSnapshot,
    ConfigSource,
    ConfigVersion,
    Expected,
    check_limit,
    check_stored_bytes,
)
from pyfly.config_sql import _content as content
from pyfly.config_sql import _statements as statements
from pyfly.config_sql._changes import Watcher, last_version
from pyfly.config_sql._database import Database
from pyfly.config_sql._engine import open_engine
from pyfly.config_sql._writer import Change, Writer

NAMES: Final = 1000
"""Names that one statement of a listing reads."""
CONTENTS: Final = 100
"""Bundles that one statement of a listing reads."""
_LARGE: Final = 16_384
"""Characters of stored bundles from which on they are parsed in a thread."""
_MAX_DIGITS: Final = 18

_LOG: Final = logging.getLogger(__name__)


class SqlConfigBackend:
    """Bundles and their history in one database, shared by any number of processes.

    A version is the number of a change in the whole store: of two versions the higher one was
    made later, whatever bundles they are of. A save is one transaction, durable when it returns
    as far as the database is. On SQLite the file and its tables are made when they are missing;
    elsewhere `upgrade` makes the tables, and without them every method raises `BackendError`.

    For one event loop, the first that uses it; in another one every method raises `BackendError`.
    Connections are opened when they are needed.

    Args:
        engine: Where connections come from; its owner closes it, and has chosen its limits. On
            SQLite it has to wait for locks (`timeout`) and to have `synchronous=FULL`.
        default_label: The label that exists even without a bundle (design §8).
    """

    has_base_bundles: Final = True

    def __init__(self, engine: AsyncEngine, *, default_label: str = DEFAULT_LABEL) -> None:
        check_name("label", default_label)
        self._database = Database(engine)
        self._writer = Writer(self._database)
        self._default_label = default_label
        self._watchers: set[Watcher] = set()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `sqlite:///config.db`, `postgresql://…`, `mysql://…` or `mariadb://…`.

        Nothing is connected yet. `aclose` closes the connections that will be made.

        Raises:
            BackendLookupError: The URL is of another form; no message shows its credentials.
            BackendNotInstalledError: The driver is not installed.
        """
        engine, label = open_engine(url)
        backend = cls(engine, default_label=label)
        backend._database.owns_engine = True
        return backend

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.dialect})"

    async def upgrade(self) -> builtins.list[str]:
        """Bring the tables to the schema that this version of the package needs.

        Raises:
            BackendError: The tables have a newer schema.
        """
        return await self._database.upgrade()

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return the source, or `None`."""
        key = ConfigKey(application=application, profile=profile, label=label)
        return (await self.fetch_many([key]))[0]

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> builtins.list[ConfigSource | None]:
        """Return what `fetch` returns for each key, from one statement."""
        return [*(await self.fetch_snapshot(keys)).sources]

    async def fetch_snapshot(self, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
        """Return what `fetch` returns for each key, and the highest version of them all.

        A removal is a version too, so the version never goes back.
        """
        self._database.check_open()
        if not keys:
            return ConfigSnapshot(sources=())
        rows = await self._rows(statements.snapshot(keys))
        found = {statements.key_of(row): row for row in rows}
        known = [found[key] for key in keys if key in found]
        version = str(max(row.version for row in known)) if known else None
        size = sum(len(row.properties or "") for row in known)
        check_stored_bytes(size)

        def parse() -> tuple[ConfigSource | None, ...]:
            return tuple(_source(key, found[key]) if key in found else None for key in keys)

        sources = await asyncio.to_thread(parse) if size > _LARGE else parse()
        return ConfigSnapshot(sources=sources, version=version)

    async def save(self, source: ConfigSource) -> None:
        """Store the source, whatever is there."""
        await self.commit(source, expected=ANY)

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Store the source if `expected` holds; return its new version.

        Raises:
            ConfigConflictError: `expected` does not hold.
            ConfigFormatError: The author or the message cannot be kept.
        """
        content.check_remark("author", author)
        content.check_remark("message", message)
        properties = content.dump(source.properties)
        change = Change(
            key=source.key,
            expected=expected,
            properties=properties,
            author=author,
            message=message,
        )
        return str(await self._writer.make(change))

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Remove the source if `expected` holds; its history stays.

        Raises:
            ConfigConflictError: `expected` does not hold.
            ConfigFormatError: The author or the message cannot be kept.
        """
        content.check_remark("author", author)
        content.check_remark("message", message)
        change = Change(key=key, expected=expected, properties=None, author=author, message=message)
        await self._writer.make(change)

    async def list(self) -> builtins.list[ConfigSource]:
        """Return all sources, ordered by label, application, profile."""
        return [source async for source in self._sources()]

    async def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield all names and versions in the order of `list`, without their properties.

        They are read a thousand at a time; between two of those no connection is held.
        """
        while True:
            rows = await self._rows(
                statements.names(label, after, limit=NAMES, dialect=self._database.dialect)
            )
            for row in rows:
                after = statements.key_of(row)
                yield ConfigEntry(key=after, version=str(row.version))
            if len(rows) < NAMES:
                return

    async def has_label(self, label: str) -> bool:
        """Tell whether a bundle carries the label, or it is the default label."""
        self._database.check_open()
        check_name("label", label)
        return label == self._default_label or bool(await self._rows(statements.carries(label)))

    async def labels(self) -> builtins.list[str]:
        """Return the labels that carry a bundle, sorted; one statement for each of them."""
        found: builtins.list[str] = []
        while rows := await self._rows(statements.next_label(found[-1] if found else None)):
            found.append(rows[0].label)
        return found

    async def history(
        self, key: ConfigKey, *, limit: int = DEFAULT_PAGE_ROWS, before: str | None = None
    ) -> builtins.list[ConfigVersion]:
        """Return at most `limit` changes of one source, newest first, older than `before`.

        One statement, which also tells whether `before` is a version of this source.

        Raises:
            ConfigNotFoundError: `before` is no version of this source.
            ValueError: `limit` is not from 1 to 1,000.
        """
        self._database.check_open()
        check_limit(limit)
        if before is None:
            rows = await self._rows(statements.history(key, limit=limit, newest=None))
            return [_change(row) for row in rows]
        newest = _number(before)
        if newest is None:
            raise ConfigNotFoundError("version", before)
        rows = await self._rows(statements.history(key, limit=limit + 1, newest=newest))
        if not rows or rows[0].version != newest:
            raise ConfigNotFoundError("version", before)
        return [_change(row) for row in rows[1:]]

    async def fetch_version(self, key: ConfigKey, version: str) -> ConfigSource | None:
        """Return the source as it was at `version`, or `None`."""
        self._database.check_open()
        number = _number(version)
        if number is None:
            return None
        rows = await self._rows(statements.old_version(key, number))
        return _source(key, rows[0]) if rows else None

    async def change_token(self) -> str:
        """Return the version of the last change."""
        return str(await last_version(self._database))

    async def changes(self) -> AsyncIterator[ConfigKey]:
        """Yield the keys that change from the first step on, in every process.

        Nothing is missed while the database is away; it is told when the database is back. On
        PostgreSQL each reader has a connection of its own besides those of the pool.
        """
        watcher = Watcher(self._database)
        self._watchers.add(watcher)
        try:
            async for key in watcher.keys():
                yield key
        finally:
            self._watchers.discard(watcher)
            await watcher.stop_listening()

    async def check(self) -> None:
        """Return when the database answers and has the tables that are needed."""
        await last_version(self._database)

    async def aclose(self) -> None:
        """Refuse everything from now on, wait for what runs, end every waiting `changes`."""
        await self._database.aclose()
        for watcher in [*self._watchers]:
            watcher.wake()
            await watcher.stop_listening()

    async def _rows(self, statement: Any) -> Sequence[Row[Any]]:
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).all()

    async def _sources(self) -> AsyncGenerator[ConfigSource]:
        after: ConfigKey | None = None
        while True:
            rows = await self._rows(
                statements.contents(after, limit=CONTENTS, dialect=self._database.dialect)
            )
            for row in rows:
                after = statements.key_of(row)
                try:
                    if (source := _source(after, row)) is not None:
                        yield source
                except ConfigFormatError as error:
                    _LOG.warning("left out: %s", error)
            if len(rows) < CONTENTS:
                return


def _source(key: ConfigKey, row: Row[Any]) -> ConfigSource | None:
    if row.properties is None:
        return None
    return ConfigSource(
        application=key.application,
        profile=key.profile,
        label=key.label,
        properties=content.load(row.properties, key),
        version=str(row.version),
        size=len(row.properties),
    )


def _change(row: Row[Any]) -> ConfigVersion:
    return ConfigVersion(
        version=str(row.version),
        saved_at=row.saved_at.replace(tzinfo=UTC),
        author=row.author,
        message=row.message,
        deleted=bool(row.removed),
    )


def _number(version: str) -> int | None:
    """Return the number that a version is, `None` when it cannot be one of ours."""
    if not (version.isascii() and version.isdecimal() and len(version) <= _MAX_DIGITS):
        return None
    return int(version) if version == str(int(version)) else None
