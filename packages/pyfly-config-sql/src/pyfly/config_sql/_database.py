"""Connections to the database, and the state of its schema and its files."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pyfly.config_core import BackendError, BackendUnavailableError
from pyfly.config_sql import _schema as schema
from pyfly.config_sql._engine import LISTEN
from pyfly.config_sql._failures import translated
from pyfly.config_sql._sqlite_files import FilesSeen, SqliteFiles

_LOG: Final = logging.getLogger(__name__)


class Database:
    """Connections for reading and for writing, and the schema they need.

    Every connection returns to the pool, and every error is one of `pyfly.config_core.errors`.

    Args:
        engine: The source of connections.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.dialect: Final = engine.dialect.name
        self.engine: Final = engine
        self.can_listen: Final[bool] = (
            engine.dialect.driver == "asyncpg"
            and engine.sync_engine.get_execution_options().get(LISTEN, True)
        )
        """True if a connection may be kept open for notifications of commits."""
        self.owns_engine = False
        """True if `aclose` closes the engine."""
        postgres = self.dialect == "postgresql"
        self._readers = (  # one statement is one round trip
            engine.execution_options(isolation_level="AUTOCOMMIT") if postgres else engine
        )
        self._writers = (  # a writer must see commits that were made while it waited
            engine.execution_options(isolation_level="READ COMMITTED") if postgres else engine
        )
        self._files = SqliteFiles.of(engine)
        self._opened: FilesSeen | None = None
        self._was_open = False
        self._was_reported = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()
        self._is_ready = False
        self._closed = False
        self._running = 0
        self._idle = asyncio.Event()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """Yield a connection for one statement."""
        with self._use():
            await self._prepare()
            async with self._readers.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """Yield a connection in a transaction, which is rolled back unless it is committed."""
        with self._use():
            await self._prepare()
            async with self._transaction() as connection:
                yield connection
                self._check_kept()

    async def rows(self, statement: Any) -> Sequence[Row[Any]]:
        """Return the rows of one statement; empty while the SQLite file is missing."""
        self.check_open()
        self.check_loop()
        if self._has_no_file_yet():
            return ()
        async with self.reading() as connection:
            return (await connection.execute(statement)).all()

    async def upgrade(self) -> list[str]:
        """Upgrade the schema; return the applied schemas."""
        with self._use():
            async with self._opening:
                await self._drop_lost_files()
                self._note_opening()
                steps = await self._upgrade()
                self._note_opened()
                return steps

    @property
    def is_closed(self) -> bool:
        """True if `aclose` was called."""
        return self._closed

    def check_open(self) -> None:
        """Raise if the database is closed.

        Raises:
            BackendUnavailableError: `aclose` was called.
        """
        if self._closed:
            raise BackendUnavailableError("the backend is closed")

    def check_loop(self) -> None:
        """Raise in another event loop than the first, because connections belong to one event loop.

        Raises:
            BackendError: This is another event loop.
        """
        running = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = running
        elif self._loop is not running:
            raise BackendError(
                "the database was opened in another event loop; open a backend for each event loop"
            )

    async def aclose(self) -> None:
        """Refuse further calls, wait for running calls, close the engine if it is owned."""
        self._closed = True
        while self._running:
            self._idle.clear()
            await self._idle.wait()
        if self.owns_engine:
            await self.engine.dispose()

    @contextmanager
    def _use(self) -> Generator[None]:
        self.check_open()
        self.check_loop()
        self._running += 1
        try:
            with translated():
                yield
        finally:
            self._running -= 1
            self._idle.set()

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[AsyncConnection]:
        async with self._writers.connect() as connection:
            if self.dialect == "sqlite":  # otherwise a write after a read could fail
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:  # a failed commit may leave the transaction open
                await connection.invalidate()
                raise

    async def _prepare(self) -> None:
        if not self._is_ready or not self._are_files_kept():
            async with self._opening:
                await self._drop_lost_files()
                await self._open()

    def is_missing(self) -> bool:
        """True if connecting would make a SQLite file."""
        return not (self._was_open or self._files is None or self._files.look().exists)

    def _has_no_file_yet(self) -> bool:
        """As `is_missing`. Logs a warning the first time: a reader expects a file."""
        if not self.is_missing():
            return False
        if not self._was_reported:
            _LOG.warning("the SQLite file does not exist yet; the first save makes it")
        self._was_reported = True
        return True

    def _are_files_kept(self) -> bool:
        if self._files is None or self._opened is None:
            return True
        return self._files.look().are_of(self._opened)

    def _check_kept(self) -> None:
        """Raise if a commit went into a file that was removed or replaced.

        Raises:
            BackendUnavailableError: The outcome is unknown.
        """
        if not self._are_files_kept():
            raise BackendUnavailableError(
                "the SQLite file was removed or replaced during a write; the outcome is unknown"
            )

    async def _drop_lost_files(self) -> None:
        """Close the connections to files that were removed or replaced.

        Raises:
            BackendUnavailableError: No file replaces them.
        """
        if not self._are_files_kept():
            self._is_ready = False
            self._opened = None
            await self.engine.dispose()
        if self._was_open and self._files is not None and not self._files.look().exists:
            raise BackendUnavailableError(
                "the SQLite file was removed; restore it, or restart to begin with an empty store"
            )

    def _note_opening(self) -> None:
        """Record the files before they are opened."""
        if self._files is not None and self._opened is None:
            self._opened = self._files.look()

    def _note_opened(self) -> None:
        """Record the files that opening has made, too: the log, or the database itself."""
        if self._files is not None and self._are_files_kept():
            self._opened = self._files.look()
        self._is_ready = self._was_open = True

    async def _open(self) -> None:
        if self._is_ready:
            return
        self._note_opening()
        async with self._readers.connect() as connection:
            found = await connection.run_sync(schema.read_revision)
        if self.dialect == "sqlite" and found is None and self._was_open:
            raise BackendUnavailableError(
                "the SQLite file was replaced by one without tables; put the right one in its "
                "place, or make the tables: pyfly-config db upgrade URL"
            )
        if self.dialect == "sqlite" and schema.is_old(found):
            await self._upgrade()
        else:
            schema.check_revision(found)
        self._note_opened()

    async def _upgrade(self) -> list[str]:
        if self.dialect == "sqlite":
            await self._use_write_ahead_log()
        async with self._transaction() as connection:
            steps = await connection.run_sync(schema.upgrade)
            await connection.commit()
        return steps

    async def _use_write_ahead_log(self) -> None:
        """Let readers use the file during a write. The mode is stored in the file."""
        async with self._readers.connect() as connection:
            await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
