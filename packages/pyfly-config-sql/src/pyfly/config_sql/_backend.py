"""The store: the methods of the storage interface, in terms of statements."""

import asyncio
import builtins
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final, Self, TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncEngine

from pyfly.config_core import (
    DEFAULT_LABEL,
    ConfigFormatError,
    ConfigKey,
    ConfigNotFoundError,
    UnsupportedOperationError,
    check_name,
)
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS
from pyfly.config_server.storage import (
    ANY,
    ChangeBatch,
    ConfigEntry,
    ConfigSnapshot,
    ConfigSource,
    ConfigVersion,
    Expected,
    SupportsChangeHints,
    check_limit,
    check_stored_bytes,
)
from pyfly.config_sql import _changes as changes
from pyfly.config_sql import _content as content
from pyfly.config_sql import _statements as statements
from pyfly.config_sql._database import Database
from pyfly.config_sql._engine import open_engine
from pyfly.config_sql._listener import ChangeListener
from pyfly.config_sql._writer import PendingChange, Writer

NAMES: Final = 1000
"""Names that one statement of a listing reads."""
CONTENTS: Final = 100
"""Bundles that one statement of a listing reads."""
_LARGE: Final = 16_384
"""Characters of stored bundles from which on they are parsed in a thread."""

_Ability = TypeVar("_Ability")

_LOG: Final = logging.getLogger(__name__)


class SqlConfigBackend:
    """Bundles and their history in one database, shared by any number of processes.

    A version is the number of a change in the whole store: of two versions the higher one was
    made later, whatever bundles they are of. A save is one transaction, durable when it returns
    as far as the database is.

    `upgrade` makes the tables; without them every method raises `BackendError`. A SQLite file
    needs no `upgrade`: its tables are upgraded by the first use, and a missing file is made by the
    first save. Until then the store is empty, and a warning in the log says that there is no file:
    reading and `check` make none.

    For one event loop, the first that uses it; in another one every method raises `BackendError`.
    Connections are opened when they are needed.

    Args:
        engine: Where connections come from; its owner closes it, and has chosen its limits. On
            SQLite it has to wait for locks (`timeout`) and to have `synchronous=FULL`.
        default_label: The label that exists even without a bundle.
    """

    has_base_bundles: Final = True

    def __init__(self, engine: AsyncEngine, *, default_label: str = DEFAULT_LABEL) -> None:
        check_name("label", default_label)
        self._database = Database(engine)
        self._writer = Writer(self._database)
        self._default_label = default_label
        self._listeners: set[ChangeListener] = set()

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

    def ability(self, kind: type[_Ability]) -> _Ability | None:
        """Return this store if it has an ability: hints only where the database can give them."""
        if kind is SupportsChangeHints and not self._database.can_listen:
            return None
        store = cast("object", self)  # type checkers would look for a common subclass
        return store if isinstance(store, kind) else None

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
        rows = await self._database.rows(statements.snapshot(keys))
        found = {statements.key_of(row): row for row in rows}
        known = [found[key] for key in keys if key in found]
        version = str(max(row.version for row in known)) if known else None
        size = sum(len(row.properties or "") for row in known)
        check_stored_bytes(size)

        def parse() -> tuple[ConfigSource | None, ...]:
            return tuple(
                content.source_of(key, found[key]) if key in found else None for key in keys
            )

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
        change = PendingChange(
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
        change = PendingChange(
            key=key, expected=expected, properties=None, author=author, message=message
        )
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
            rows = await self._database.rows(
                statements.names(label, after, limit=NAMES, dialect=self._database.dialect)
            )
            for row in rows:
                after = statements.key_of(row)
                yield ConfigEntry(key=after, version=str(row.version))
            if len(rows) < NAMES:
                return

    async def has_label(self, label: str) -> bool:
        """True if a bundle carries the label, or if it is the default label."""
        self._database.check_open()
        check_name("label", label)
        return label == self._default_label or bool(
            await self._database.rows(statements.carries(label))
        )

    async def labels(self) -> builtins.list[str]:
        """Return the labels that carry a bundle, sorted, from one statement."""
        return [row.label for row in await self._database.rows(statements.labels())]

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
            rows = await self._database.rows(statements.history(key, limit=limit, newest=None))
            return [content.history_row(row) for row in rows]
        newest = content.version_number(before)
        if newest is None:
            raise ConfigNotFoundError("version", before)
        rows = await self._database.rows(statements.history(key, limit=limit + 1, newest=newest))
        if not rows or rows[0].version != newest:
            raise ConfigNotFoundError("version", before)
        return [content.history_row(row) for row in rows[1:]]

    async def fetch_version(self, key: ConfigKey, version: str) -> ConfigSource | None:
        """Return the source as it was at `version`, or `None`."""
        self._database.check_open()
        number = content.version_number(version)
        if number is None:
            return None
        rows = await self._database.rows(statements.old_version(key, number))
        return content.source_of(key, rows[0]) if rows else None

    async def changes_since(self, cursor: str | None) -> ChangeBatch:
        """Return what changed since `cursor`, in every process.

        One statement, which reads one row while nothing changes. The bundles of up to 1,000
        changes are named; more of them are `EverythingChange`, as is a cursor of another database.
        """
        return await changes.changes_since(self._database, cursor)

    async def hints(self) -> AsyncIterator[None]:
        """Yield after every commit of any process, from the first step on; PostgreSQL only.

        Each reader has a connection of its own beside those of the pool.

        Raises:
            UnsupportedOperationError: The database gives no hints.
        """
        self._database.check_open()
        self._database.check_loop()
        if not self._database.can_listen:
            raise UnsupportedOperationError(repr(self), "hints of changes")
        listener = ChangeListener(self._database)
        self._listeners.add(listener)
        try:
            async for _ in listener.hints():
                yield
        finally:
            self._listeners.discard(listener)
            await listener.stop()

    async def check(self) -> None:
        """Return when the database answers and has the tables that are needed."""
        await self._database.rows(statements.last_version())

    async def aclose(self) -> None:
        """Refuse everything from now on, wait for what runs, end every iterator of `hints`."""
        await self._database.aclose()
        for listener in [*self._listeners]:
            listener.wake()
            await listener.stop()

    async def _sources(self) -> AsyncGenerator[ConfigSource]:
        after: ConfigKey | None = None
        while True:
            rows = await self._database.rows(
                statements.contents(after, limit=CONTENTS, dialect=self._database.dialect)
            )
            for row in rows:
                after = statements.key_of(row)
                try:
                    if (source := content.source_of(after, row)) is not None:
                        yield source
                except ConfigFormatError as error:
                    _LOG.warning("left out: %s", error)
            if len(rows) < CONTENTS:
                return
