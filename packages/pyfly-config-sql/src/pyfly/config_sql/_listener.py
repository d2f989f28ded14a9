"""Notifications of commits with LISTEN and NOTIFY of PostgreSQL."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pyfly.config_core import BackendError
from pyfly.config_sql._database import Database
from pyfly.config_sql._failures import translated

RETRY_SECONDS: Final = 1.0
"""Pause before a lost connection is opened again."""
PROBE_SECONDS: Final = 30.0
"""The time without notifications after which the connection is tested. This also keeps firewalls
from dropping it."""
_CHANNEL: Final = "pyfly_config"

_LOG: Final = logging.getLogger(__name__)


async def notify(connection: AsyncConnection) -> None:
    """Notify the listeners of all processes when the transaction is committed."""
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_notify(_CHANNEL, "")))


class ChangeListener:
    """A connection outside of the pool for notifications, which is reopened when it breaks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wake = asyncio.Event()
        self._connection: AsyncConnection | None = None
        self._driver: Any = None  # asyncpg's connection: its types are an extra
        self._was_reported = False

    @property
    def is_listening(self) -> bool:
        """True if the connection is listening."""
        return self._driver is not None and not self._driver.is_closed()

    async def hints(self) -> AsyncIterator[None]:
        """Yield after every commit, and whenever a notification may have been missed.

        The iterator ends when the database is closed.
        """
        may_have_missed = False
        try:
            while not self._database.is_closed:
                if not self.is_listening:
                    if not await self._listen():
                        may_have_missed = True
                        await self._woken_within(RETRY_SECONDS)
                        continue
                    if may_have_missed:
                        yield
                may_have_missed = True  # if the connection breaks from now on
                if not await self._woken_within(PROBE_SECONDS):
                    await self._probe()
                elif self.is_listening and not self._database.is_closed:
                    yield
        finally:
            await self.stop()

    def wake(self) -> None:
        """Wake `hints`."""
        self._wake.set()

    async def stop(self) -> None:
        """Close the connection."""
        connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(BackendError), translated():
                await connection.close()

    async def _woken_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    async def _listen(self) -> bool:
        """Open the connection; return true if that succeeded."""
        await self.stop()
        try:
            with translated():
                self._connection = await self._database.engine.connect()
                raw = await self._connection.get_raw_connection()
                driver: Any = raw.driver_connection
                raw.detach()  # the pool is for requests
                driver.add_termination_listener(self._on_event)
                await driver.add_listener(_CHANNEL, self._on_event)
        except BackendError as error:
            if not self._was_reported:
                _LOG.warning("cannot listen for changes; they are noticed by polling: %s", error)
            self._was_reported = True
            await self.stop()
            return False
        self._driver = driver
        self._was_reported = False
        return True

    async def _probe(self) -> None:
        """Close the connection unless it answers."""
        try:
            with translated():
                await self._driver.execute("SELECT 1")
        except BackendError:
            await self.stop()

    def _on_event(self, *_: object) -> None:
        self.wake()
