"""The store: the storage interface on top of SQL statements."""

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
    check_freezes,
    check_limit,
    check_stored_bytes,
)
from pyfly.config_sql import _changes as changes
from pyfly.config_sql import _content as content
from pyfly.config_sql import _statements as statements
from pyfly.config_sql._database import Database
from pyfly.config_sql._engine import open_engine
from pyfly.config_sql._listener import ChangeListener
from pyfly.config_sql._shared_read import SharedRead
from pyfly.config_sql._writer import PendingChange, Writer

NAMES: Final = 1000
"""The number of names that one statement of a listing reads."""
CONTENTS: Final = 100
"""The number of bundles that one statement of a listing reads."""
_LARGE: Final = 16_384
"""In characters. Larger bundles are parsed in a thread."""

_Ability = TypeVar("_Ability")

_LOG: Final = logging.getLogger(__name__)


class SqlConfigBackend:
    """Bundles and their history in one database, shared by any number of processes.

    A version is the number of a change in the whole store: a higher version was made later, for
    all bundles. A save is one transaction. When it returns, it is as durable as the database.

    `upgrade` makes the tables; without them every method raises `BackendError`. A SQLite file
    needs no `upgrade`: the first use upgrades its tables, and the first save makes a missing file.
    Until then the store is empty, and the log has a warning that the file is missing. Reads and
    `check` do not make the file.

    The store belongs to the first event loop that uses it; in another one every method raises
    `BackendError`. Connections are opened when they are needed.

    Args:
        engine: The source of connections. Its owner closes it and chooses its limits. On SQLite
            it must wait for locks (`timeout`) and have `synchronous=FULL`.
        default_label: The label that exists even without a bundle.
    """

    has_base_bundles: Final = True

    def __init__(self, engine: AsyncEngine, *, default_label: str = DEFAULT_LABEL) -> None:
        check_name("label", default_label)
        self._database = Database(engine)
        self._writer = Writer(self._database)
        self._default_label = default_label
        self._listeners: set[ChangeListener] = set()
        self._freezes = SharedRead(self._load_freezes)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `sqlite:///config.db`, `postgresql://…`, `mysql://…` or `mariadb://…`.

        No connection is opened yet. `aclose` closes the connections.

        Raises:
            BackendLookupError: The URL is malformed. The message does not show its credentials.
            BackendNotInstalledError: The driver is not installed.
        """
        engine, label = open_engine(url)
        backend = cls(engine, default_label=label)
        backend._database.owns_engine = True
        return backend

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.dialect})"

    def ability(self, kind: type[_Ability]) -> _Ability | None:
        """Return this store if it has an ability. Only PostgreSQL has hints."""
        if kind is SupportsChangeHints and not self._database.can_listen:
            return None
        store = cast("object", self)  # type checkers would look for a common subclass
        return store if isinstance(store, kind) else None

    async def upgrade(self) -> builtins.list[str]:
        """Convert the tables to the schema that this version of the package needs.

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
        """Return what `fetch` returns for each key, with one statement."""
        return [*(await self.fetch_snapshot(keys)).sources]

    async def fetch_snapshot(self, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
        """Return what `fetch` returns for each key, and the highest of their versions.

        A removal is a version, too, so the version never decreases.
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
        """Store the source unconditionally."""
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

        They are read in pages of a thousand. Between two pages no connection is held.
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
        """True if a bundle has the label, or if it is the default label."""
        self._database.check_open()
        check_name("label", label)
        return label == self._default_label or bool(
            await self._database.rows(statements.carries(label))
        )

    async def labels(self) -> builtins.list[str]:
        """Return the labels that have a bundle, sorted, with one statement."""
        return [row.label for row in await self._database.rows(statements.labels())]

    async def history(
        self, key: ConfigKey, *, limit: int = DEFAULT_PAGE_ROWS, before: str | None = None
    ) -> builtins.list[ConfigVersion]:
        """Return at most `limit` changes of one source, newest first, older than `before`.

        One statement, which also checks that `before` is a version of this source.

        Raises:
            ConfigNotFoundError: `before` is not a version of this source.
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
        """Return the changes since `cursor` in all processes.

        One statement, which reads one row while nothing changes. Up to 1,000 changes are named;
        more changes, or a cursor of another database, are `EverythingChange`.
        """
        return await changes.changes_since(self._database, cursor)

    async def hints(self) -> AsyncIterator[None]:
        """Yield after every commit of any process, from the first step on; PostgreSQL only.

        Each reader has a connection outside of the pool.

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

    async def load_freezes(self) -> str | None:
        """Return the text of the freezes, or `None`. Concurrent calls share a statement."""
        self._database.check_open()
        self._database.check_loop()
        return await self._freezes.run()

    async def _load_freezes(self) -> str | None:
        if self._database.is_missing():  # the save that asks makes it
            return None
        rows = await self._database.rows(statements.freezes_text())
        return rows[0].text if rows else None

    async def store_freezes(
        self,
        text: str,
        *,
        expected: str | None,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Replace the text of the freezes, in one transaction. Author and message are not kept.

        Raises:
            ConfigConflictError: Another text than `expected` is stored.
        """
        del author, message
        async with self._database.writing() as connection:
            await connection.execute(statements.lock_sequence())
            current = (await connection.execute(statements.freezes_text())).scalar()
            check_freezes(current, expected=expected)
            await connection.execute(statements.store_freezes(text, is_new=current is None))
            await connection.commit()

    async def check(self) -> None:
        """Return if the database answers and has the current schema."""
        await self._database.rows(statements.last_version())

    async def aclose(self) -> None:
        """Refuse further calls, wait for running calls, end every iterator of `hints`."""
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
