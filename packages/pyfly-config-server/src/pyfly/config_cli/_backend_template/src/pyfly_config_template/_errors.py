"""Translating the errors of the driver. No other module does this."""

import contextlib
import sqlite3
from collections.abc import Generator
from typing import Final

from pyfly.config_core import BackendAccessDeniedError, BackendError, BackendUnavailableError

_PRIMARY_CODE: Final = 0xFF
"""The bits of an error code that are stable in SQLite. The other bits have details."""
_DENIED: Final = frozenset(
    {sqlite3.SQLITE_AUTH, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOTADB}
)


@contextlib.contextmanager
def translated() -> Generator[None]:
    """Raise the error of this project for an error of the driver."""
    try:
        yield
    except sqlite3.Error as error:
        raise backend_error(error) from error


def backend_error(error: sqlite3.Error) -> BackendError:
    """Return the error of pyfly-config, which tells callers if another try may help.

    The message has only the name of the error, because the driver's message could hold a value.
    """
    code: int | None = getattr(error, "sqlite_errorcode", None)
    name: str = getattr(error, "sqlite_errorname", type(error).__name__)
    if code is not None and code & _PRIMARY_CODE in _DENIED:
        return BackendAccessDeniedError(
            f"the database refuses: {name}; check the file and its permissions"
        )
    return BackendUnavailableError(f"the database does not answer: {name}; try again")
