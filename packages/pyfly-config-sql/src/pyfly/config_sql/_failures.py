"""From the errors of SQLAlchemy and its drivers to those of `pyfly.config_core.errors`.

No text of a server is passed on, because it may quote values: a message says what kind of error
it is, in fixed words, with the name of its class and its code.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
)

_NO_DATABASE: Final = (
    "the database does not exist; create it on the server, or correct its name in the URL"
)
_MISSING: Final = "the tables are missing; to make them: pyfly-config db upgrade URL"
_DENIED: Final = "the database refuses access"
_SHARED: Final = (
    "connections to the database are shared; use ?pgbouncer=true for a database behind PgBouncer"
)
_READ_ONLY: Final = "the database is read-only at the moment"
_BROKEN: Final = "the file is damaged, or not a database"
_NOT_OPENED: Final = (
    "the SQLite file cannot be opened; check that it is a file, and that this user may write to "
    "it and to its directory"
)
_MOVED: Final = "the SQLite file was removed or replaced"
_AWAY: Final = "the database cannot be reached, or did not answer in time"

_DRIVERS: Final = frozenset({"aiosqlite", "asyncmy", "asyncpg", "sqlite3"})
"""Drivers with errors outside of the DB-API, such as that of a host that is not a primary."""

_Kind = tuple[type[BackendError], str]

_SQLSTATES: Final[dict[str, _Kind]] = {
    **dict.fromkeys(("08P01", "26000", "42P05"), (BackendError, _SHARED)),
    "28": (BackendAccessDeniedError, _DENIED),
    "42501": (BackendAccessDeniedError, _DENIED),
    "3D": (BackendError, _NO_DATABASE),
    "3F": (BackendError, _MISSING),
    "42P01": (BackendError, _MISSING),
    "25006": (BackendUnavailableError, _READ_ONLY),
    "08": (BackendUnavailableError, _AWAY),
    "40": (BackendUnavailableError, _AWAY),
    "53": (BackendUnavailableError, _AWAY),
    "55P03": (BackendUnavailableError, _AWAY),
    "57": (BackendUnavailableError, _AWAY),
    "58": (BackendUnavailableError, _AWAY),
}
"""PostgreSQL: complete codes, or classes of codes, which are their beginnings."""

_MYSQL_CODES: Final[dict[int, _Kind]] = {
    **dict.fromkeys(
        (1044, 1045, 1142, 1143, 1227, 1251, 1370, 1698), (BackendAccessDeniedError, _DENIED)
    ),
    1049: (BackendError, _NO_DATABASE),
    1146: (BackendError, _MISSING),
    **dict.fromkeys((1290, 1792, 1836), (BackendUnavailableError, _READ_ONLY)),
    **dict.fromkeys(
        (1040, 1053, 1152, 1203, 1205, 1206, 1213, 1226, 1317, 1637, 1927, 1969, 3024),
        (BackendUnavailableError, _AWAY),
    ),
}
"""MySQL and MariaDB: too many connections, shutting down, locks, time limits, killed."""

_SQLITE_NAMES: Final[dict[str, _Kind]] = {
    **dict.fromkeys(("AUTH", "PERM", "READONLY"), (BackendAccessDeniedError, _DENIED)),
    **dict.fromkeys(("CORRUPT", "NOTADB"), (BackendError, _BROKEN)),
    "CANTOPEN": (BackendUnavailableError, _NOT_OPENED),
    "READONLY_DBMOVED": (BackendUnavailableError, _MOVED),
    "ERROR": (BackendError, _MISSING),  # the statements are valid, so the tables are missing
}
"""SQLite: the text after `SQLITE_`, or its first word."""


@contextmanager
def translated() -> Generator[None]:
    """Let only errors of `pyfly.config_core.errors` out of the block; `__cause__` is the driver's.

    Raises:
        BackendUnavailableError: Another try may succeed.
        BackendAccessDeniedError: The database refuses.
        BackendError: Something else is wrong with the database.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise BackendUnavailableError("all connections to the database are in use") from error
    except DBAPIError as error:
        raise failure(error) from error.orig  # the text of `error` may hold parameters
    except SQLAlchemyError as error:
        raise BackendError(f"the database failed ({type(error).__name__})") from error
    except OSError as error:  # of the socket or TLS; includes TimeoutError
        raise BackendUnavailableError(f"{_AWAY} ({_told(error)})") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _DRIVERS:
            raise
        raise BackendUnavailableError(f"{_AWAY} ({type(error).__name__})") from error


def failure(error: DBAPIError) -> BackendError:
    """Return the error of the project for an error of a driver."""
    origin = error.orig or error
    cause = origin.__cause__ or origin
    kind, words = _kind(error, origin)
    code = _code(origin)
    return kind(f"{words} ({type(cause).__name__}{f', {code}' if code else ''})")


def _kind(error: DBAPIError, origin: BaseException) -> _Kind:
    code = _code(origin)
    known = _by_code(code)
    if known is not None:
        return known
    if code is None or isinstance(error, OperationalError | InterfaceError):
        return BackendUnavailableError, _AWAY
    return BackendError, "the database failed"


def _by_code(code: str | int | None) -> _Kind | None:
    if isinstance(code, int):
        return _MYSQL_CODES.get(code)
    if code is None:
        return None
    if code.startswith("SQLITE_"):
        name = code.removeprefix("SQLITE_")
        return _SQLITE_NAMES.get(name) or _SQLITE_NAMES.get(name.partition("_")[0])
    return _SQLSTATES.get(code) or _SQLSTATES.get(code[:2])


def _code(origin: BaseException) -> str | int | None:
    """Return MySQL's number, the SQLSTATE of PostgreSQL, or the name of SQLite's code."""
    first: object = origin.args[0] if origin.args else None
    if isinstance(first, int):
        return first
    for name in ("sqlstate", "sqlite_errorname"):
        code: object = getattr(origin, name, None)
        if isinstance(code, str):
            return code
    return None


def _told(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
