"""A server whose cost is measured, request by request, and the files that it serves."""

import asyncio
import contextlib
import functools
import json
import socket
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pyfly.config_server import ConfigSource, EncryptionKeys, open_keys
from pyfly.config_server.storage import ABSENT
from pyfly.config_sql import SqlConfigBackend

from .bundles import FILES
from .cases import PLAIN_FILES, SECRETS, TOKEN, VERSIONS, Case
from .meter import Cost, Meter

_PASSWORD = "a password"
_SECONDS = 120.0


class MeteredServer:
    """A running server of one process on this machine."""

    def __init__(self, *, port: int, pid: int) -> None:
        self._port = port
        self._meter = Meter(pid)

    def spend(self, case: Case) -> tuple[int, Cost]:
        """Send one request to the quiet server; return the status and the cost."""
        self._meter.start()
        status = self._exchange(case.encode())
        return status, self._meter.stop()

    def _exchange(self, request: bytes) -> int:
        """Send bytes, read the answer to its end, return its status; 0 if there is none."""
        head = b""
        with socket.create_connection(("127.0.0.1", self._port), timeout=_SECONDS) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused early
                connection.sendall(request)
            with contextlib.suppress(ConnectionResetError):
                while chunk := connection.recv(65_536):
                    head = head or chunk
        return int(head.split(b" ", 2)[1]) if head else 0


def write_files(root: Path) -> None:
    """Write the worst files and the plain files of the table below a root."""
    label = root / "main"
    label.mkdir()
    for name, content in FILES.items():
        suffix = name.rpartition(".")[2]
        (label / f"{suffix}-{name}").write_bytes(content)
    for name, content in PLAIN_FILES.items():
        (label / name).write_bytes(content)
    for name, count in SECRETS.items():
        (label / f"{name}-default.yaml").write_text(_secrets(count), encoding="utf-8")


def write_history(path: Path) -> None:
    """Write a SQLite file whose bundle `often` has many versions, copies of the first one."""

    async def save() -> None:
        backend = SqlConfigBackend.from_url(f"sqlite:///{path}")
        source = ConfigSource(application="often", profile="default", properties={"a": 1})
        await backend.commit(source, expected=ABSENT, author="ada", message="as before")
        await backend.aclose()

    asyncio.run(save())
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers"
            " WHERE n < ?) INSERT INTO pyfly_config_revision"
            " (version, label, application, profile, saved_at, author, message, properties)"
            " SELECT n, label, application, profile, saved_at, author, message, properties"
            " FROM pyfly_config_revision, numbers WHERE version = 1",
            (VERSIONS,),
        )
        connection.execute("UPDATE pyfly_config_bundle SET version = ?", (VERSIONS,))
        connection.execute("UPDATE pyfly_config_sequence SET version = ?", (VERSIONS,))


@functools.cache
def _rsa_key() -> str:
    key = generate_private_key(65_537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def settings() -> Mapping[str, str]:
    """Return settings of `pyfly-config serve` that let every route answer."""
    return {
        "TOKEN": TOKEN,
        "ENCRYPT_KEY": _PASSWORD,
        "ENCRYPT_KEYS": json.dumps({"rsa": _rsa_key()}),
        "DECRYPT_ENDPOINT": "true",
    }


def _secrets(count: int) -> str:
    """Return a text with values that are encrypted with RSA, each with a key of its own."""
    keys = open_keys(EncryptionKeys(default=_PASSWORD, named={"rsa": _rsa_key()}))
    values = (keys.encrypt(f"{{key:rsa}}secret {number}") for number in range(count))
    return "".join(f"key{n}: '{{cipher}}{value}'\n" for n, value in enumerate(values))
