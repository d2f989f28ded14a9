"""Making engines from URLs, with explicit drivers and short time limits.

Messages show only the scheme of a URL and the names of its parameters.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pyfly.config_core import DEFAULT_LABEL, BackendLookupError, BackendNotInstalledError

BUSY_SECONDS: Final = 5.0
"""The wait of a statement for the write of another process to a SQLite file."""

_NUMBERS: Final[Mapping[str, float]] = {
    "pool_size": 5,
    "pool_timeout": 1,
    "connect_timeout": 2,
    "statement_timeout": 2,
}
_GRACE_SECONDS: Final = 1.0
"""The additional wait of the client for a statement that the server should have ended."""

LISTEN: Final = "pyfly_listen"
"""The execution option of an engine that permits its connections to listen."""

_SQLITE: Final = frozenset({"default_label", "pool_size", "pool_timeout"})
_SERVER: Final = frozenset({"default_label", *_NUMBERS})
_POSTGRES: Final = frozenset(
    {
        *_SERVER,
        *("application_name", "host", "passfile", "pgbouncer", "port", "search_path"),
        "target_session_attrs",
        *("sslcert", "sslcrl", "sslkey", "sslmode", "sslpassword", "sslrootcert"),
    }
)
_MYSQL: Final = frozenset({*_SERVER, "ssl_ca", "ssl_cert", "ssl_key", "unix_socket"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of an engine: connections, and times in seconds."""

    pool_size: int
    pool_timeout: float
    connect_timeout: float
    statement_timeout: float

    @property
    def pool(self) -> dict[str, Any]:
        """The arguments of the pool."""
        return {
            "pool_size": self.pool_size,
            "max_overflow": 0,
            "pool_timeout": self.pool_timeout,
            "hide_parameters": True,
        }


_Parameters = dict[str, str]


def open_engine(url: str) -> tuple[AsyncEngine, str]:
    """Return an engine for a URL, without connecting, and the default label of the store.

    Raises:
        BackendLookupError: The URL is malformed.
        BackendNotInstalledError: The driver is not installed.
    """
    scheme = url.partition(":")[0]
    opened, known, spelling = _DIALECTS[scheme]
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        _check_ports(parts)
        _check_login(parts)
        parameters = _unique(pairs)
    except ValueError:  # the text of the error may be a part of the password
        parts, parameters = urlsplit("#"), {}
    if parts.scheme != scheme or parts.fragment:
        raise BackendLookupError(
            f"write a {scheme}: URL as {spelling}, with every parameter once, and percent-encode "
            "special characters: '/' in a password is %2F, '@' is %40, '#' is %23"
        )
    if unknown := sorted(parameters.keys() - known):
        raise BackendLookupError(
            f"a {scheme}: URL has no parameter {unknown[0][:40]!r}; use {', '.join(sorted(known))}"
        )
    label = parameters.pop("default_label", DEFAULT_LABEL)
    if scheme == "sqlite":  # connections do not occupy a server
        parameters.setdefault("pool_timeout", str(BUSY_SECONDS))
    return opened(parts, parameters, _limits(parameters)), label


def _check_ports(parts: SplitResult) -> None:
    """Raise `ValueError` for an invalid port, which is often a part of a password."""
    hosts = parts.netloc.rpartition("@")[2]
    for host in hosts.split(",") if parts.scheme.startswith("postgres") else (hosts,):
        _ = urlsplit(f"//{host}").port


def _check_login(parts: SplitResult) -> None:
    """Raise `ValueError` if a user name or a password ends the host of a URL too early.

    `postgresql://user:12/34@host/database` would otherwise be the port 12 of a host `user`.
    """
    if parts.netloc and "@" not in parts.netloc and "@" in parts.path + parts.query:
        raise ValueError


def _unique(pairs: Sequence[tuple[str, str]]) -> _Parameters:
    if len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)


def _limits(parameters: _Parameters) -> Limits:
    numbers = {name: _number(name, parameters.pop(name, None)) for name in _NUMBERS}
    return Limits(pool_size=int(numbers.pop("pool_size")), **numbers)


def _number(name: str, text: str | None) -> float:
    if text is None:
        return _NUMBERS[name]
    whole = name == "pool_size"
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = 0
    if not 0 < number <= 1000:  # noqa: PLR2004 - and so not NaN
        kind = "whole number" if whole else "number of seconds"
        raise BackendLookupError(f"{name} must be a {kind} above 0, up to 1000")
    return number


def _flag(name: str, text: str) -> bool:
    if text not in {"true", "false"}:
        raise BackendLookupError(f"{name} must be true or false")
    return text == "true"


def _need(driver: str, scheme: str, extra: str) -> None:
    if find_spec(driver) is None:
        raise BackendNotInstalledError(scheme, f"pyfly-config-sql[{extra}]")


def _open_sqlite(parts: SplitResult, _: _Parameters, limits: Limits) -> AsyncEngine:
    path = unquote(parts.path).removeprefix("/")
    if parts.netloc or not path or "\0" in path or path.startswith(":"):
        raise BackendLookupError(
            "name a file in a sqlite: URL: sqlite:///config.db for one in this directory, "
            "sqlite:////var/lib/config.db for an absolute path"
        )
    directory = Path(path).parent
    if not directory.is_dir():
        raise BackendLookupError(f"there is no directory {str(directory)!r} for the SQLite file")
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=path),
        connect_args={"timeout": BUSY_SECONDS},
        **limits.pool,
    )
    event.listen(engine.sync_engine, "connect", _make_durable)
    return engine


def _make_durable(connection: Any, _: object) -> None:
    """Write every commit to the disk, regardless of the defaults of SQLite."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _open_postgres(parts: SplitResult, parameters: _Parameters, limits: Limits) -> AsyncEngine:
    _need("asyncpg", parts.scheme, "postgres")
    is_shared = _flag("pgbouncer", parameters.pop("pgbouncer", "false"))
    settings = {"application_name": parameters.get("application_name", "pyfly-config")}
    if not is_shared:
        settings["statement_timeout"] = str(round(1000 * limits.statement_timeout))
    # The driver parses the URL: several hosts, sockets and TLS as in other PostgreSQL clients.
    query = urlencode(parameters, quote_via=quote)
    connect = partial(
        import_module("asyncpg").connect,  # an extra
        urlunsplit(("postgresql", parts.netloc, parts.path, query, "")),
        timeout=limits.connect_timeout,
        command_timeout=limits.statement_timeout + _GRACE_SECONDS,
        server_settings=settings,
        **({"statement_cache_size": 0} if is_shared else {}),
    )
    arguments: dict[str, Any] = {"async_creator_fn": connect}
    if is_shared:  # the next statement may run on another connection, without its names
        arguments |= {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args=arguments,
        execution_options={LISTEN: not is_shared},
        pool_pre_ping=True,
        **limits.pool,
    )


def _open_mysql(parts: SplitResult, parameters: _Parameters, limits: Limits) -> AsyncEngine:
    _need("asyncmy", parts.scheme, "mysql")
    arguments: dict[str, Any] = {
        "charset": "utf8mb4",
        "connect_timeout": max(1, round(limits.connect_timeout)),
        "read_timeout": limits.statement_timeout + _GRACE_SECONDS,
        "init_command": _mysql_limits(limits.statement_timeout),
    }
    if tls := {name: path for name, path in parameters.items() if name.startswith("ssl_")}:
        arguments["ssl"] = _tls(tls)
    if "unix_socket" in parameters:
        arguments["unix_socket"] = parameters["unix_socket"]
    if parts.password:  # the driver would encode it as Latin-1
        arguments["password"] = unquote(parts.password).encode()
    url = URL.create(
        "mysql+asyncmy",
        username=_decoded(parts.username),
        host=parts.hostname or "localhost",
        port=parts.port,
        database=unquote(parts.path.removeprefix("/")),
    )
    return create_async_engine(url, connect_args=arguments, pool_pre_ping=True, **limits.pool)


def _mysql_limits(seconds: float) -> str:
    """Return the statement that sets limits. MySQL and MariaDB skip each other's comments."""
    return (
        f"SET SESSION innodb_lock_wait_timeout={max(1, round(seconds))}"
        f"/*M! , max_statement_time={seconds} */"
        f"/*!80000 , max_execution_time={round(1000 * seconds)} */"
    )


def _tls(files: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=files.get("ssl_ca"))
        if "ssl_cert" in files:
            context.load_cert_chain(files["ssl_cert"], files.get("ssl_key"))
    except OSError as error:  # a missing file, or not a certificate
        raise BackendLookupError(f"the TLS files cannot be used: {error.strerror}") from error
    return context


def _decoded(text: str | None) -> str | None:
    return None if text is None else unquote(text)


_Open = Callable[[SplitResult, _Parameters, Limits], AsyncEngine]
_SQLITE_FORM: Final = "sqlite:///config.db"
_POSTGRES_FORM: Final = "postgresql://user:password@host:5432/database"
_MYSQL_FORM: Final = "mysql://user:password@host:3306/database"
_DIALECTS: Final[Mapping[str, tuple[_Open, frozenset[str], str]]] = {
    "sqlite": (_open_sqlite, _SQLITE, _SQLITE_FORM),
    "postgres": (_open_postgres, _POSTGRES, _POSTGRES_FORM),
    "postgresql": (_open_postgres, _POSTGRES, _POSTGRES_FORM),
    "mariadb": (_open_mysql, _MYSQL, _MYSQL_FORM),
    "mysql": (_open_mysql, _MYSQL, _MYSQL_FORM),
}
"""For each scheme: the function to open it, its parameters, its spelling."""
