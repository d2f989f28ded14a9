"""Connections over TLS: the limits hold, and everything is answered as without it."""

import asyncio
import contextlib
import logging
import select
import socket
import ssl
import struct
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from pyfly.config_cli._serving.application import ReplaceableApp
from pyfly.config_cli._serving.certificates import ServerCertificate
from pyfly.config_cli._serving.http_server import BACKLOG, HttpServer
from pyfly.config_cli._serving.limits import ConnectionLimits
from pyfly.config_cli._serving.listeners import bind, listen, resolve
from pyfly.config_cli._settings.tls import TlsFiles
from pyfly.config_litestar import create_asgi_app
from pyfly.config_server import ConfigServer, ConfigSource, InMemoryConfigBackend
from pyfly.config_server.storage import ANY

pytestmark = pytest.mark.anyio

PATIENCE = 30
HEADERS = ((b"strict-transport-security", b"max-age=1"),)
PATH = "/config/orders/dev"
SHORT = ConnectionLimits(
    head_seconds=0.2, body_seconds=0.2, write_seconds=0.2, idle_seconds=1, connections=3
)


def get(path: str = PATH, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


@pytest.fixture
def certificate(make_certificate: Callable[..., Any]) -> Any:
    return make_certificate("localhost")


class Site:
    """A server, and what is stored in it."""

    def __init__(self, certificate: Any) -> None:
        self.store = InMemoryConfigBackend()
        files = TlsFiles(certificate=certificate.path, key=certificate.key)
        self.tls = ServerCertificate(files)
        self.port = 0
        self.trust = ssl.create_default_context(cafile=certificate.path)

    async def save(self, value: int) -> None:
        source = ConfigSource(application="orders", profile="dev", properties={"a": value})
        await self.store.commit(source, expected=ANY)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.trust, server_hostname="localhost"
        )

    async def exchange(self, *pieces: bytes) -> bytes:
        """Send pieces and return all that comes back until the server closes."""
        reader, writer = await self.connect()
        try:
            for piece in pieces:
                writer.write(piece)
            async with asyncio.timeout(PATIENCE):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()


async def answer_large(scope: Any, receive: Any, send: Any) -> None:
    """Send a body that no buffer holds."""
    del scope, receive
    headers = [(b"content-length", b"%d" % (64 * 65_536))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(64):
        body = {"type": "http.response.body", "body": b"x" * 65_536, "more_body": number < 63}
        await send(body)


@contextlib.asynccontextmanager
async def serving(
    certificate: Any, limits: ConnectionLimits | None = None, app: Any = None
) -> AsyncGenerator[Site]:
    site = Site(certificate)
    await site.save(1)
    own = ReplaceableApp(HEADERS)
    await own.replace(create_asgi_app(ConfigServer(site.store), auth=None))
    listeners = bind("127.0.0.1", resolve("127.0.0.1", 0))
    listen("127.0.0.1", listeners, backlog=BACKLOG)
    site.port = listeners[0].getsockname()[1]
    ready = asyncio.Event()
    server = HttpServer(
        app or own,
        listeners,
        limits=limits or ConnectionLimits(),
        ready=ready.set,
        direct=own.direct,
        certificate=site.tls,
        headers=HEADERS,
    )
    running = asyncio.create_task(server.run())
    await ready.wait()
    try:
        yield site
    finally:
        own.close_connections()
        server.stop()
        await running
        await own.aclose()


async def read_response(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
    return head + await reader.readexactly(int(fields.get(b"content-length", b"0")))


async def test_direct_and_other_answers_are_the_same(certificate: Any) -> None:
    async with serving(certificate) as site:
        reader, writer = await site.connect()
        answers: list[bytes] = []
        for _ in range(4):
            writer.write(get())
            answers.append(await read_response(reader))
        writer.transport.abort()
        split = await site.exchange(get()[:20], get("/config/orders/dev", "Connection: close")[20:])
    dates = [answer.partition(b"\r\ndate: ")[2][:29] for answer in answers]
    bare = {a.replace(date, b"") for a, date in zip(answers, dates, strict=True)}
    assert len(bare) == 1
    assert b"\r\nstrict-transport-security: max-age=1\r\n" in answers[0]
    assert b"\r\nstrict-transport-security: max-age=1\r\n" in split


async def test_a_held_request_is_answered_at_a_change(certificate: Any) -> None:
    async with serving(certificate) as site, asyncio.timeout(PATIENCE):
        reader, writer = await site.connect()
        writer.write(get())
        first = await read_response(reader)
        tag = first.lower().partition(b"\r\netag: ")[2].partition(b"\r\n")[0].decode()
        writer.write(get(PATH, f"If-None-Match: {tag}", "Prefer: wait=30"))
        await asyncio.sleep(0.05)
        await site.save(2)
        changed = await read_response(reader)
        writer.transport.abort()
    assert changed.startswith(b"HTTP/1.1 200 ")
    assert b'"a":2' in changed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pieces", "status"),
    [((), b"408"), ((b"GET / HTTP/1.1\r\nHost: c\r\nX: ",), b"408"), ((b"\0" * 99,), b"400")],
    ids=["nothing", "half a head", "no HTTP"],
)
async def test_a_head_is_bounded(
    certificate: Any, pieces: tuple[bytes, ...], status: bytes
) -> None:
    async with serving(certificate, SHORT) as site:
        assert (await site.exchange(*pieces)).split(b" ")[:2] == [b"HTTP/1.1", status]


@pytest.mark.slow
async def test_an_idle_connection_is_closed(certificate: Any) -> None:
    async with serving(certificate, SHORT) as site:
        assert (await site.exchange(get())).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
async def test_a_handshake_is_bounded_in_time_and_number(
    certificate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pyfly"):
        async with serving(certificate, SHORT) as site:
            waiting = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(3)]
            await asyncio.sleep(0.05)
            beyond, other = await asyncio.open_connection("127.0.0.1", site.port)
            async with asyncio.timeout(PATIENCE):
                assert await beyond.read() == b""
                for reader, writer in waiting:
                    with contextlib.suppress(ConnectionError):
                        assert await reader.read() == b""
                    writer.close()
            other.close()
            assert (await site.exchange(get())).startswith(b"HTTP/1.1 200 ")
    assert "no TLS connection with 127.0.0.1: the handshake took too long" in caplog.text


async def test_plain_http_is_not_answered(
    certificate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pyfly"):
        async with serving(certificate) as site:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(get())
            async with asyncio.timeout(PATIENCE):
                assert not (await reader.read()).startswith(b"HTTP")
            writer.close()
    assert "no TLS connection with 127.0.0.1: http request" in caplog.text


@pytest.mark.slow
async def test_a_client_that_does_not_read_is_disconnected(certificate: Any) -> None:
    async with serving(certificate, SHORT, answer_large) as site:

        def ask() -> bool:
            with (
                socket.create_connection(("127.0.0.1", site.port)) as plain,
                site.trust.wrap_socket(plain, server_hostname="localhost") as silent,
            ):
                silent.sendall(get())
                closed = select.poll()
                closed.register(silent, 0)
                return bool(closed.poll(PATIENCE * 1000))

        assert await asyncio.to_thread(ask)


async def test_a_slow_reader_gets_everything(certificate: Any) -> None:
    limits = ConnectionLimits(write_seconds=2)
    async with serving(certificate, limits, answer_large) as site:
        reader, writer = await site.connect()
        writer.write(get("/", "Connection: close"))
        size = 0
        while piece := await reader.read(262_144):
            size += len(piece)
            await asyncio.sleep(0.01)
        writer.transport.abort()
    assert size > 64 * 65_536


@pytest.mark.parametrize("resets", [False, True])
async def test_clients_that_leave_are_forgotten(certificate: Any, resets: bool) -> None:
    async with serving(certificate, ConnectionLimits(connections=8)) as site:
        for _ in range(20):
            _, writer = await site.connect()
            writer.write(get(PATH, "If-None-Match: x", "Prefer: wait=30"))
            if resets:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()
        deadline = time.monotonic() + PATIENCE
        while not (await site.exchange(get(PATH, "Connection: close"))).endswith(b"}"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
