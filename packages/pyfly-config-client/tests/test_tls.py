"""Servers that are recognised by a certificate, and clients that are."""

import http.server
import json
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client import ConfigClient, ServerUnreachableError, SyncConfigClient

pytestmark = pytest.mark.anyio

MakeCertificate = Callable[..., Any]


@pytest.fixture
def authority(make_certificate: MakeCertificate) -> Any:
    return make_certificate("authority")


@pytest.fixture
def serve(
    authority: Any, make_certificate: MakeCertificate, document: Any
) -> Iterator[Callable[..., str]]:
    """Serve the document over TLS; return the address."""
    started: list[http.server.ThreadingHTTPServer] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing about clients that give up."""

    def start(*, clients: Path | None = None, tls: bool = True) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server = make_certificate("server", issuer=authority)
        context.load_cert_chain(server.path, server.key)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        server = Server(("127.0.0.1", 0), Handler)
        if tls:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        started.append(server)
        return f"http{'s' * tls}://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["async", "sync"])
def fetch(request: pytest.FixtureRequest) -> Callable[..., Any]:
    async def run(url: str, **how: Any) -> Any:
        given: Any = {"server_url": url, "application": "orders", "profile": "prod", "attempts": 1}
        if request.param == "async":
            return await ConfigClient(**given | how).fetch()
        return SyncConfigClient(**given | how).fetch()

    return run


async def test_a_server_is_recognised_by_an_authority_of_ones_own(
    serve: Any, fetch: Any, authority: Any, make_certificate: MakeCertificate
) -> None:
    url = serve()
    assert len(await fetch(url, ca_file=authority.path)) == 2
    with pytest.raises(
        ServerUnreachableError, match=r"the certificate of 127\.0\.0\.1:.* is not trusted: ."
    ):
        await fetch(url)
    other = make_certificate("other")
    with pytest.raises(
        ServerUnreachableError, match=r"the certificate of 127\.0\.0\.1:.* is not trusted: ."
    ):
        await fetch(url, ca_file=other.path)


async def test_a_client_is_recognised_by_its_certificate(
    serve: Any, fetch: Any, authority: Any, make_certificate: MakeCertificate
) -> None:
    url = serve(clients=authority.path)
    own = make_certificate("client", issuer=authority)
    given = {"ca_file": authority.path, "client_cert": own.path, "client_key": own.key}
    assert len(await fetch(url, **given)) == 2
    with pytest.raises(ServerUnreachableError):
        await fetch(url, ca_file=authority.path)


@pytest.mark.parametrize(
    ("argument", "content", "said"),
    [
        ("ca_file", None, "No such file or directory"),
        ("ca_file", b"", "contains no certificates"),
        ("ca_file", b"marker", "contains no certificates"),
        ("client_cert", None, "No such file or directory"),
        ("client_cert", b"marker", "cannot be used"),
        ("client_key", b"marker", "client_key is given without client_cert"),
    ],
)
def test_files_for_tls_are_checked_when_a_client_is_made(
    tmp_path: Path, argument: str, content: bytes | None, said: str
) -> None:
    file = tmp_path / "given.pem"
    if content is not None:
        file.write_bytes(content)
    arguments: Any = {"server_url": "https://config:8888", "application": "orders", argument: file}
    for make in (SyncConfigClient, ConfigClient):
        with pytest.raises(ValueError, match=said) as caught:
            make(**arguments)
        assert str(file) in str(caught.value) or argument == "client_key"
        assert "marker" not in str(caught.value)
        make(**arguments, policy="offline")  # sends nothing, so it needs no certificates


def test_a_fifo_in_place_of_a_certificate_is_no_reason_to_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="is not a regular file"):
        SyncConfigClient(
            server_url="https://config", application="orders", ca_file=tmp_path / "fifo"
        )


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(
    make_certificate: MakeCertificate, tmp_path: Path
) -> None:
    own, protected = make_certificate("client"), tmp_path / "protected.key"
    own.write_key(protected, password=b"marker")
    with pytest.raises(ValueError, match="cannot be used"):
        SyncConfigClient(
            server_url="https://config",
            application="orders",
            client_cert=own.path,
            client_key=protected,
        )


async def test_a_file_that_broke_since_then_is_named_and_nothing_is_repeated(
    serve: Any, fetch: Any, authority: Any, tmp_path: Path
) -> None:
    url = serve()
    copy = tmp_path / "copy.pem"
    copy.write_bytes(authority.path.read_bytes())
    client = SyncConfigClient(
        server_url=url, application="orders", profile="prod", ca_file=copy, timeout=60
    )
    assert len(client.fetch()) == 2
    copy.unlink()
    with pytest.raises(
        ServerUnreachableError, match=r"ca_file .*copy\.pem: No such file"
    ) as caught:
        client.fetch()
    assert caught.value.permanent
    assert not caught.value.tried


async def test_what_asking_again_does_not_change_is_not_repeated(serve: Any, fetch: Any) -> None:
    how = {"attempts": None, "timeout": 60}
    for url, said in (
        (serve(), "is not trusted"),
        (serve(tls=False).replace("http:", "https:"), "does not use TLS; .* http://"),
    ):
        with pytest.raises(ServerUnreachableError, match=said) as caught:
            await fetch(url, **how)
        assert (caught.value.permanent, list(caught.value.tried)) == (True, [])


async def test_a_server_that_answers_plain_http_with_an_alert_of_tls_speaks_tls(
    server: Any, fetch: Any
) -> None:
    server.chunks = [b"\x15\x03\x03\x00\x02\x02\x28"]
    with pytest.raises(
        ServerUnreachableError,
        match="does not speak HTTP; the address may have to begin with https://",
    ) as caught:
        await fetch(server.url, attempts=None, timeout=60)
    assert caught.value.permanent
    server.chunks = []
    with pytest.raises(
        ServerUnreachableError, match="closed the connection without a response; the"
    ):
        await fetch(server.url)
