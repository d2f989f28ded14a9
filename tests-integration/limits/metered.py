"""A server whose cost is measured, request by request, and the files that it serves."""

import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .bundles import FILES
from .cases import PLAIN_FILES, TOKEN, Case
from .meter import Cost, Meter

SETTINGS: Final[Mapping[str, str]] = {
    "TOKEN": TOKEN,
    "ENCRYPT_KEY": "a password",
    "DECRYPT_ENDPOINT": "true",
}
"""Settings of `pyfly-config serve`, which let every route answer."""
_SECONDS: Final = 120.0


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
