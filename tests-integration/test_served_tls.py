"""`pyfly-config serve` with a certificate: who may connect, and renewal while clients ask."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509

from pyfly.config_client import SyncConfigClient

pytestmark = pytest.mark.traced

PATIENCE = 60.0
PATH = "/config/orders/default"

Start = Callable[..., Any]
MakeCertificate = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "main" / "orders-default.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("who: orders\n", encoding="utf-8")
    return tmp_path / "store"


@pytest.fixture
def serve(start_server: Start, store: Path) -> Start:
    """Start a server with a certificate; the helper of all tests waits for its report."""

    def run(certificate: Any, *arguments: object, **settings: str) -> Any:
        return start_server(
            store,
            "--tls-certificate-file",
            str(certificate.path),
            "--tls-key-file",
            str(certificate.key),
            *map(str, arguments),
            secure=True,
            **settings,
        )

    return run


def trust(certificate: Any, **versions: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate.path)
    for name, version in versions.items():
        setattr(context, name, version)
    return context


def get(server: Any, context: ssl.SSLContext) -> bytes:
    url = f"https://localhost:{server.port}{PATH}"
    with urllib.request.urlopen(url, timeout=PATIENCE, context=context) as answer:
        return bytes(answer.read())


@pytest.mark.slow
def test_versions_and_clients(
    serve: Start, make_certificate: MakeCertificate, tmp_path: Path
) -> None:
    own, ca = make_certificate("own"), make_certificate("clients")
    client, other = make_certificate("client", issuer=ca), make_certificate("other")
    server = serve(own, TLS_CLIENT_CA_FILE=str(ca.path))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trust(own, minimum_version=version, maximum_version=version)
        with pytest.raises((OSError, http.client.HTTPException)):
            get(server, context)  # without a certificate
        context.load_cert_chain(client.path, client.key)
        assert b'"who":"orders"' in get(server, context)
        stranger = trust(own, minimum_version=version, maximum_version=version)
        stranger.load_cert_chain(other.path, other.key)
        with pytest.raises((OSError, http.client.HTTPException)):
            get(server, stranger)
    server.wait_for("no TLS connection with 127.0.0.1: peer did not return a certificate")
    old = trust(own, maximum_version=ssl.TLSVersion.TLSv1_2)
    own_client = SyncConfigClient(
        server_url=f"https://localhost:{server.port}",
        application="orders",
        profile="default",
        ca_file=own.path,
        client_cert=client.path,
        client_key=client.key,
    )
    assert own_client.fetch()["who"] == "orders"
    server.stop()
    server = serve(own, TLS_MIN_VERSION="1.3")
    with pytest.raises(OSError):  # noqa: PT011 - some event loops close without a reason
        get(server, old)
    server.wait_for("no TLS connection with 127.0.0.1: unsupported protocol")
    assert b"orders" in get(server, trust(own))
    assert server.stop() == 0


def test_an_encrypted_key_is_refused_without_a_question(
    make_certificate: MakeCertificate, store: Path, tmp_path: Path
) -> None:
    own, encrypted = make_certificate("own"), tmp_path / "encrypted.key"
    own.write_key(encrypted, password=b"open sesame")
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("pyfly-config"), "serve", store),
            *("--tls-certificate-file", own.path, "--tls-key-file", encrypted, "--port", "1"),
        ],
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"pyfly-config: the private key {str(encrypted)!r} is encrypted;")


class Clients:
    """Clients that ask all the time, on kept and on new connections, and trust two certificates."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.failed: list[str] = []
        self.requests = 0
        self.serials: set[int] = set()
        self._port, self._context = port, context
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(kept,)) for kept in (True, True, False)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "localhost", self._port, timeout=PATIENCE, context=self._context
        )

    def _ask(self, keeps: bool) -> None:
        connection = self._connect()
        try:
            while not self._done.is_set():
                connection.request("GET", PATH)
                answer = connection.getresponse()
                assert answer.status == 200
                assert b"orders" in answer.read()
                self.requests += 1
                if not keeps:
                    assert isinstance(connection.sock, ssl.SSLSocket | None)
                    self._note(connection.sock)
                    connection.close()
                time.sleep(0.002)
        except Exception as error:  # noqa: BLE001 - any failure counts
            self.failed.append(repr(error))
        finally:
            connection.close()

    def _note(self, connection: ssl.SSLSocket | None) -> None:
        der = None if connection is None else connection.getpeercert(binary_form=True)
        if der:
            self.serials.add(x509.load_der_x509_certificate(der).serial_number)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_certificate_is_renewed_without_a_failed_request(
    serve: Start, make_certificate: MakeCertificate, workers: int, tmp_path: Path
) -> None:
    ca = make_certificate("ca")
    own, new = make_certificate("own", issuer=ca), make_certificate("new", issuer=ca)
    expired = make_certificate("expired", issuer=ca, days=-1)
    first = own.serial
    server = serve(own, "--workers", workers)

    with Clients(server.port, trust(ca)) as clients:
        expired.key.replace(own.key)
        expired.path.replace(own.path)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("certificate has expired")
        new.path.replace(own.path)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("not reloaded, the settings before stay in use: the private key")
        assert clients.serials <= {first}
        new.key.replace(own.key)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("settings reloaded")
        deadline = time.monotonic() + PATIENCE
        while new.serial not in clients.serials and time.monotonic() < deadline:
            time.sleep(0.01)
        clients.serials.clear()
        asked = clients.requests
        while clients.requests < asked + 100 and not clients.failed:
            time.sleep(0.01)
    assert clients.failed == []
    assert new.serial in clients.serials
    if workers == 1:
        assert clients.serials == {new.serial}
    assert server.stop() == 0


@pytest.mark.slow
def test_a_worker_does_not_come_back_with_an_expired_certificate(
    serve: Start, make_certificate: MakeCertificate
) -> None:
    own, new = make_certificate("own"), make_certificate("new")
    expired = make_certificate("expired", days=-1)
    context, renewed = trust(own), trust(new)
    server = serve(own, "--workers", 2)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("settings reloaded")  # all new workers answer
    server.wait_for_workers(2)
    expired.key.replace(own.key)
    expired.path.replace(own.path)
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for("certificate has expired; it starts again")
    for _ in range(20):
        assert b"orders" in get(server, context)  # from the other worker
    os.kill(server.workers()[0], signal.SIGKILL)
    new.key.replace(own.key)
    new.path.replace(own.path)
    assert b"orders" in get(server, renewed)
    assert server.stop() == 0


def test_a_reload_cannot_begin_or_end_tls(
    start_server: Start, make_certificate: MakeCertificate, store: Path, tmp_path: Path
) -> None:
    own, file = make_certificate("own"), tmp_path / "settings.toml"
    file.write_text("", encoding="utf-8")
    server = start_server(store, "--settings", str(file))
    file.write_text(
        f'tls-certificate-file = "{own.path}"\ntls-key-file = "{own.key}"\n', encoding="utf-8"
    )
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + PATIENCE
    while "to speak TLS, or no longer, needs a restart" not in server.output():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert plain.recv(100).startswith(b"HTTP/1.1 200 ")
