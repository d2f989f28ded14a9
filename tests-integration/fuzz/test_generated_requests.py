"""Whatever is sent, nothing is answered with an error of the server's own."""

import contextlib
import http.client
import logging
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import (
    ConfigServer,
    Controller,
    Encryption,
    EncryptionKeys,
    FilesystemConfigBackend,
    HostPolicy,
    HttpRequest,
    InMemoryConfigBackend,
    ServerOptions,
    SharedCredential,
    open_keys,
)
from pyfly.config_server.storage import ConfigBackend

pytestmark = pytest.mark.anyio

OWN_ERRORS = {501, 503}
"""What the documentation says a server may be unable to do."""
MOST_REFUSED = 8
"""Requests with a wrong credential to a running server, which answers more of them late."""
NOISE = 16 * 1024
"""KiB by which a process may grow without keeping anything of a request."""


def expected(status: int) -> bool:
    return 200 <= status < 500 or status in OWN_ERRORS


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "store"
    shutil.copytree(checkout / "docs" / "examples" / "config", path)
    (path / "main/nginx.conf").write_text("listen ${server.port:80};\n", encoding="utf-8")
    (path / "main/large.txt").write_text("x ${a.b:y}\n" * 10_000, encoding="utf-8")
    return path


# --- the controller alone -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["files", "memory", "open"])
async def test_the_controller_answers_generated_requests(
    root: Path, make_requests: Any, request_count: int, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    stores: dict[str, ConfigBackend] = {
        "files": FilesystemConfigBackend(root),
        "memory": InMemoryConfigBackend(),
        "open": FilesystemConfigBackend(root),
    }
    keys = open_keys(EncryptionKeys(default="password"))
    server = ConfigServer(
        stores[kind], options=ServerOptions(encryption=Encryption(keys=keys, answers_decrypt=True))
    )
    auth = None if kind == "open" else SharedCredential.bearer("t")
    hosts = HostPolicy() if kind == "open" else None
    controller = Controller(server, auth=auth, hosts=hosts)
    describe = HttpRequest(
        method="GET",
        raw_path=b"/config/_openapi.json",
        headers=[(b"host", b"localhost"), (b"authorization", b"Bearer t")],
    )
    document = (await controller.handle(describe)).body
    with caplog.at_level(logging.ERROR):
        for one in make_requests(document, request_count // 2):

            async def read_body(body: bytes = one.body) -> bytes:
                return body

            path, _, query = one.target.partition("?")
            answer = await controller.handle(
                HttpRequest(
                    method=one.method,
                    raw_path=path.encode("latin-1", "replace"),
                    query=query.encode("latin-1", "replace"),
                    headers=[(k.encode(), v.encode("latin-1")) for k, v in one.headers],
                    read_body=read_body,
                )
            )
            assert expected(answer.status), one
            assert not one.documented or answer.status in one.documented, (answer.status, one)
    assert "Traceback" not in caplog.text
    await server.aclose()


# --- a running server ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(root: Path, start_server: Callable[..., Any]) -> Any:
    return start_server(root, TOKEN="t", ENCRYPT_KEY="password", DECRYPT_ENDPOINT="true")


def has_wrong_credential(headers: Iterable[tuple[str, str]]) -> bool:
    """True if a request counts as a failed sign-in: also one that repeats the right credential."""
    given = [value for name, value in headers if name == "Authorization"]
    return given not in ([], ["Bearer t"])


def memory_of(pid: int) -> int:
    """KiB that a process and those below it hold."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if int(entry.name) == pid or _parent(entry) == pid:
                    lines = (entry / "status").read_text(encoding="utf-8").splitlines()
                    total += sum(int(one.split()[1]) for one in lines if one.startswith("VmRSS"))
    return total


def _parent(process: Path) -> int:
    return int((process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


class Exchanges:
    """Sends requests, on one connection while the server keeps it open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def send(self, request: bytes, method: str) -> int | None:
        """Return the status; `None` when the server closes the connection instead."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=20)
        response = http.client.HTTPResponse(self._socket, method=method)
        try:
            with contextlib.suppress(ConnectionError):  # refused before it was read to its end
                self._socket.sendall(request)
            response.begin()
            response.read()
            status = response.status
        except (http.client.HTTPException, ConnectionError):
            status = None
        if status is None or response.will_close or b"\r\nExpect:" in request:
            self.close()
        response.close()
        return status

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


@pytest.fixture
def exchanges(server: Any) -> Iterator[Exchanges]:
    made = Exchanges(server.port)
    yield made
    made.close()


def test_a_running_server_answers_generated_requests(
    server: Any, exchanges: Exchanges, make_requests: Any, request_count: int
) -> None:
    head = b"GET /config/_openapi.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n"
    raw = server.exchange(head + b"Connection: close\r\n\r\n")
    statuses: Counter[int | None] = Counter()
    settled = refused = 0
    for number, one in enumerate(make_requests(raw.partition(b"\r\n\r\n")[2], request_count)):
        if number == min(1_000, request_count // 2):
            settled = memory_of(server.process.pid)
        refused += has_wrong_credential(one.headers)
        if has_wrong_credential(one.headers) and refused > MOST_REFUSED:
            continue
        status = exchanges.send(one.raw, one.method)
        statuses[status] += 1
        assert status is None or expected(status), (status, one)
    assert statuses[None] < statuses.total() / 10  # most are answered, not cut off
    assert statuses[200] > statuses.total() / 10
    finish(server, statuses, settled)


def test_a_running_server_survives_bytes_that_are_no_requests(
    server: Any, make_nonsense: Any, request_count: int
) -> None:
    statuses: Counter[int | None] = Counter()
    settled = 0
    for number, data in enumerate(make_nonsense(request_count)):
        if number == min(1_000, request_count // 2):
            settled = memory_of(server.process.pid)
        received = b""
        with (
            contextlib.suppress(OSError),  # reset, or closed before all was sent
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
        ):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65_536):
                received += chunk
        status = int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.") else None
        statuses[status] += 1
        assert status is None or expected(status), data
    finish(server, statuses, settled)


def finish(server: Any, statuses: Counter[int | None], settled: int) -> None:
    """The server still answers, has told of no failure, and has not grown."""
    grown = memory_of(server.process.pid) - settled
    told = ", ".join(f"{status or 'closed'}: {count}" for status, count in statuses.most_common())
    print(f"\n{statuses.total():,} sent; {told}; grown by {grown:,} KiB of {settled:,}")  # noqa: T201 - for the proof
    assert server.process.poll() is None
    assert b" 200 OK" in server.exchange(
        b"GET /config/orders/prod HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n"
        b"Connection: close\r\n\r\n"
    )
    output = server.output()
    assert "Traceback" not in output
    assert ": 500" not in output
    assert grown < NOISE
