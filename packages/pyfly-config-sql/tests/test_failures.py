"""Every error of a driver becomes one of ours, at one seam, and shows nothing it was given."""

import sqlite3
import ssl
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigConflictError,
)
from pyfly.config_sql._failures import failure, translated

pytestmark = pytest.mark.anyio

MARKER = "a-secret-value"
POSTGRES: Any = import_module("asyncpg.exceptions")
MYSQL: Any = import_module("asyncmy.errors")
Told = BackendError | BackendAccessDeniedError | BackendUnavailableError


def classes(module: Any) -> list[type[Exception]]:
    """Return the errors that a driver names, warnings and notices left out."""
    found = [
        one
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, Exception)
        and not issubclass(one, Warning)
        and "Message" not in one.__name__
        and one.__name__ not in {"PostgresLogMessage", "PostgresNotice"}
    ]
    return sorted(set(found), key=lambda one: one.__name__)


async def told(scheme: str, error: BaseException) -> BaseException:
    """Return what comes out of the seam when the driver raises an error."""

    async def connect(*_: object, **__: object) -> Any:
        raise error

    engine = create_async_engine(f"{scheme}://", async_creator=connect)
    try:
        with translated():
            await engine.connect()
    except Exception as caught:  # noqa: BLE001 - whatever it is
        return caught
    raise AssertionError("nothing was raised")


def shown(error: BaseException | None) -> str:
    """Return all that a log would show of an error and its causes."""
    texts = ""
    while error is not None:
        texts += f"{error} {error!r}"
        error = error.__cause__
    return texts


@pytest.mark.parametrize("kind", classes(POSTGRES), ids=lambda kind: kind.__name__)
async def test_no_error_of_asyncpg_passes(kind: type[Exception]) -> None:
    error = await told("postgresql+asyncpg", kind(MARKER))
    assert isinstance(error, BackendError)
    assert MARKER not in str(error)


@pytest.mark.parametrize("kind", classes(MYSQL), ids=lambda kind: kind.__name__)
async def test_no_error_of_asyncmy_passes(kind: type[Exception]) -> None:
    error = await told("mysql+asyncmy", kind(4999, MARKER))
    assert isinstance(error, BackendError)
    assert MARKER not in str(error)


@pytest.mark.parametrize("kind", classes(sqlite3), ids=lambda kind: kind.__name__)
async def test_no_error_of_sqlite_passes(kind: type[Exception]) -> None:
    error = await told("sqlite+aiosqlite", kind(MARKER))
    assert isinstance(error, BackendError)
    assert MARKER not in str(error)


def of_mysql(number: int) -> tuple[str, Callable[[], Exception]]:
    return "mysql+asyncmy", lambda: MYSQL.OperationalError(number, MARKER)


def of_postgres(name: str) -> tuple[str, Callable[[], Exception]]:
    return "postgresql+asyncpg", lambda: getattr(POSTGRES, name)(MARKER)


def of_sqlite(name: str, kind: type[Exception]) -> tuple[str, Callable[[], Exception]]:
    def make() -> Exception:
        error: Any = kind(MARKER)
        error.sqlite_errorname = name
        return error

    return "sqlite+aiosqlite", make


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (of_postgres("InvalidPasswordError"), BackendAccessDeniedError, "refuses access"),
        (of_postgres("InsufficientPrivilegeError"), BackendAccessDeniedError, "refuses access"),
        (of_postgres("UndefinedTableError"), BackendError, "pyfly-config db upgrade"),
        (
            of_postgres("InvalidCatalogNameError"),
            BackendError,
            "database does not exist; create it",
        ),
        (of_postgres("QueryCanceledError"), BackendUnavailableError, "57014"),
        (of_postgres("AdminShutdownError"), BackendUnavailableError, "57P01"),
        (of_postgres("CannotConnectNowError"), BackendUnavailableError, "57P03"),
        (of_postgres("TooManyConnectionsError"), BackendUnavailableError, "53300"),
        (of_postgres("ReadOnlySQLTransactionError"), BackendUnavailableError, "is read-only"),
        (of_postgres("DeadlockDetectedError"), BackendUnavailableError, "40P01"),
        (of_postgres("DataCorruptedError"), BackendError, "XX001"),
        (of_postgres("TargetServerAttributeNotMatched"), BackendUnavailableError, "reached"),
        (of_mysql(1045), BackendAccessDeniedError, "refuses access (OperationalError, 1045)"),
        (of_mysql(1146), BackendError, "pyfly-config db upgrade"),
        (of_mysql(1049), BackendError, "database does not exist; create it"),
        (of_mysql(1290), BackendUnavailableError, "is read-only"),
        (of_mysql(1205), BackendUnavailableError, "1205"),
        (of_mysql(2013), BackendUnavailableError, "2013"),
        (of_sqlite("SQLITE_BUSY", sqlite3.OperationalError), BackendUnavailableError, "BUSY"),
        (of_sqlite("SQLITE_FULL", sqlite3.OperationalError), BackendUnavailableError, "FULL"),
        (
            of_sqlite("SQLITE_READONLY_DBMOVED", sqlite3.OperationalError),
            BackendUnavailableError,
            "removed or replaced",
        ),
        (
            of_sqlite("SQLITE_READONLY_DIRECTORY", sqlite3.OperationalError),
            BackendAccessDeniedError,
            "refuses",
        ),
        (of_sqlite("SQLITE_NOTADB", sqlite3.DatabaseError), BackendError, "damaged"),
        (
            of_sqlite("SQLITE_CANTOPEN", sqlite3.OperationalError),
            BackendUnavailableError,
            "and to its directory",
        ),
        (of_sqlite("SQLITE_ERROR", sqlite3.OperationalError), BackendError, "db upgrade"),
        (("postgresql+asyncpg", TimeoutError), BackendUnavailableError, "TimeoutError"),
        (("mysql+asyncmy", ConnectionResetError), BackendUnavailableError, "Reset"),
        (("postgresql+asyncpg", lambda: ssl.SSLError(1, "bad")), BackendUnavailableError, "bad"),
    ],
)
async def test_what_the_errors_mean(
    raised: tuple[str, Callable[[], Exception]], kind: type[Told], words: str
) -> None:
    scheme, make = raised
    error = await told(scheme, make())
    assert type(error) is kind or (kind is BackendError and isinstance(error, kind))
    assert words in str(error)
    assert MARKER not in str(error)


async def test_errors_of_ours_and_of_programmers_pass_as_they_are() -> None:
    for error in (ConfigConflictError("orders", "1"), ZeroDivisionError("x")):
        assert await told("sqlite+aiosqlite", error) is error


def test_values_given_to_a_statement_are_not_in_the_chain_of_causes() -> None:
    cause = sqlite3.OperationalError("disk I/O error")
    error = DBAPIError.instance("INSERT", [MARKER], cause, sqlite3.Error)
    assert isinstance(error, DBAPIError)
    assert MARKER in str(error)
    with pytest.raises(BackendError) as caught, translated():
        raise error
    assert caught.value.__cause__ is cause
    assert MARKER not in shown(caught.value)
    assert MARKER not in str(failure(error))
