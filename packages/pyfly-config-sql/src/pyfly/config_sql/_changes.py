"""Telling readers what changed: a poll that is right, and a hint that makes it fast.

Changes are numbered in the order in which they were made, so asking for those after the last
one that was seen misses none, whatever happens to connections meanwhile. PostgreSQL also says
when it is time to ask.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pyfly.config_core import BackendError, ConfigKey
from pyfly.config_sql import _statements as statements
from pyfly.config_sql._database import Database
from pyfly.config_sql._failures import translated

POLL_SECONDS: Final = 0.5
"""How long a change may go unnoticed when nothing hints at it."""
_CHANNEL: Final = "pyfly_config"
_BATCH: Final = 1000

_LOG: Final = logging.getLogger(__name__)


async def hint(connection: AsyncConnection) -> None:
    """Wake the readers of all processes when the transaction is committed."""
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_notify(_CHANNEL, "")))


class Watcher:
    """One reader of changes.

    While the database is away it waits for its return; what changed meanwhile is told then.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wake = asyncio.Event()
        self._seen: int | None = None
        self._connection: AsyncConnection | None = None
        self._driver: Any = None  # asyncpg's connection: its types are an extra
        self._is_away = False

    def wake(self) -> None:
        """Have it look now."""
        self._wake.set()

    async def keys(self) -> AsyncIterator[ConfigKey]:
        """Yield the keys that change from now on, each once in every look.

        Raises:
            BackendUnavailableError: The backend was closed.
        """
        self._seen = await last_version(self._database)
        try:
            while True:
                await self._wait()
                self._database.check_open()
                for key in await self._look(self._seen):
                    yield key
        finally:
            await self.stop_listening()

    async def _wait(self) -> None:
        await self._listen()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        self._wake.clear()

    async def _look(self, seen: int) -> list[ConfigKey]:
        """Return the keys that changed after `seen`, and remember the last version there is."""
        try:
            last = await last_version(self._database)
            rows: Sequence[Row[Any]] = ()
            if last > seen:
                async with self._database.reading() as connection:
                    found = await connection.execute(statements.changed(seen, limit=_BATCH))
                    rows = found.all()
        except BackendError as error:
            self._database.check_open()
            self._tell("changes cannot be seen at the moment: %s", error)
            return []
        self._is_away = False
        # Lower than before when an older copy of the database was put in its place.
        self._seen = rows[-1].version if rows else last
        if len(rows) == _BATCH:
            self.wake()
        return list(dict.fromkeys(statements.key_of(row) for row in rows))

    async def _listen(self) -> None:
        """Keep a connection of its own that hears of commits, where there can be one."""
        if not self._database.can_listen or self._is_listening():
            return
        await self.stop_listening()
        try:
            with translated():
                self._connection = await self._database.engine.connect()
                raw = await self._connection.get_raw_connection()
                self._driver = raw.driver_connection
                raw.detach()  # the pool is for requests
                self._driver.add_termination_listener(self._hear)
                await self._driver.add_listener(_CHANNEL, self._hear)
        except BackendError as error:
            self._tell("changes are polled only: %s", error)

    def _is_listening(self) -> bool:
        return self._driver is not None and not self._driver.is_closed()

    def _hear(self, *_: object) -> None:
        self.wake()

    async def stop_listening(self) -> None:
        """Close the connection. What was told is not lost."""
        connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(BackendError), translated():
                await connection.close()

    def _tell(self, text: str, error: BackendError) -> None:
        if not self._is_away:
            _LOG.warning(text, error)
        self._is_away = True


async def last_version(database: Database) -> int:
    """Return the version of the last change of anything."""
    async with database.reading() as connection:
        return int((await connection.execute(statements.last_version())).scalar_one())
