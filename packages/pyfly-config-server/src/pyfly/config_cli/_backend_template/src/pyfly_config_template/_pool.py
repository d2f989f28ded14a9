"""A pool of connections, each used by one thread at a time."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from pyfly.config_core import BackendUnavailableError
from pyfly_config_template._errors import translated
from pyfly_config_template._settings import StoreSettings
from pyfly_config_template._tables import prepare

_Result = TypeVar("_Result")

GONE: Final = "the file of the database is gone"
_CLOSED: Final = "the store is closed"


class ConnectionPool:
    """Runs functions in threads with a connection, and closes the connections at the end.

    A connection is opened when it is needed. At most `settings.pool` connections are open.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.pool, thread_name_prefix="template")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._closed = False

    async def run(self, function: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Return the result of a function, called with a connection in a thread.

        The event loop is not blocked. Cancelling the caller does not stop the function.

        Raises:
            BackendUnavailableError: The pool is closed, the database does not answer, or there
                was no result in time. In the last case the outcome of a write is unknown.
            BackendAccessDeniedError: The database refuses access.
        """
        if self._closed:
            raise BackendUnavailableError(_CLOSED)
        loop = asyncio.get_running_loop()
        try:
            future = loop.run_in_executor(self._threads, self._call, function)
        except RuntimeError as error:  # closed by another thread in the meantime
            raise BackendUnavailableError(_CLOSED) from error
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await future
        except TimeoutError as error:
            seconds = self._settings.timeout
            raise BackendUnavailableError(f"no result from the store in {seconds} s") from error

    async def aclose(self) -> None:
        """Refuse further calls, wait for running calls, then close all connections."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        while self._connections:
            self._connections.pop().close()

    def _call(self, function: Callable[[sqlite3.Connection], _Result]) -> _Result:
        with translated():
            connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
            if connection is None:
                connection = self._open()
                self._own.connection = connection
            return function(connection)

    def _open(self) -> sqlite3.Connection:
        if self._connections and not self._settings.path.exists():
            raise BackendUnavailableError(GONE)  # it must not be made anew without its content
        connection = sqlite3.connect(
            self._settings.path,
            timeout=self._settings.timeout,  # for the writers of other processes
            isolation_level=None,  # this package begins transactions explicitly
            check_same_thread=False,  # another thread closes it, after its thread has ended
        )
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connections.append(connection)
        return connection
