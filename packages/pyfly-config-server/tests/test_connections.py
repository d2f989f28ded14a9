"""The limits of connections, on real sockets, with times short enough for a test."""

import asyncio
import contextlib
import gc
import logging
import select
import socket
import time
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from pyfly.config_cli._serving.http_server import BACKLOG, HttpServer
from pyfly.config_cli._serving.limits import ConnectionLimits
from pyfly.config_cli._serving.listeners import bind, listen, resolve
from pyfly.config_server import AT_END

pytestmark = pytest.mark.anyio

LARGE = 16 * 1024 * 1024
PIECE = 65_536
PATIENCE = 30
GET = b"GET / HTTP/1.1\r\nHost: c\r\n\r\n"
SHORT = ConnectionLimits(
    head_seconds=0.1, body_seconds=0.1, write_seconds=0.1, idle_seconds=1, connections=3
)


class App:
    """Answers `/large` in pieces, `/body` with the length of what it was sent, the rest briefly."""

    sent = 0
    blocked_at = 0
    """What had been sent when one piece had to wait."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, pieces = b"ok", 1
        if scope["path"] == "/large":
            body, pieces = b"x" * PIECE, LARGE // PIECE
        elif scope["path"] == "/body":
            size, more = 0, True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    return
                size, more = size + len(message["body"]), message["more_body"]
            body = str(size).encode()
        length = str(len(body) * pieces).encode()
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-length", length)]})
        for number in range(pieces):
            more = number + 1 < pieces
            began = time.monotonic()
            await send({"type": "http.response.body", "body": body, "more_body": more})
            if not self.blocked_at and time.monotonic() - began > 0.1:
                self.blocked_at = self.sent
            self.sent += len(body)


@contextlib.asynccontextmanager
async def serving(
    limits: ConnectionLimits = SHORT, app: App | None = None
) -> AsyncGenerator[tuple[int, HttpServer]]:
    listeners = bind("127.0.0.1", resolve("127.0.0.1", 0))
    listen("127.0.0.1", listeners, backlog=BACKLOG)
    ready = asyncio.Event()
    server = HttpServer(app or App(), listeners, limits=limits, ready=ready.set)
    port = listeners[0].getsockname()[1]
    running = asyncio.create_task(server.run())
    await ready.wait()
    try:
        yield port, server
    finally:
        server.stop()
        await running


async def exchange(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send pieces and return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


HEAD = b"GET / HTTP/1.1\r\nHost: c\r\nX: "


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        pytest.param((), b"408", id="nothing"),
        pytest.param((HEAD,), b"408", id="half a head"),
        pytest.param((b"\r\n",) * 20, b"408", id="empty lines"),
        pytest.param((HEAD, b"y" * 1_000_000), b"431", id="a large header"),
        pytest.param((b"GET /" + b"y" * 100_000,), b"431", id="a long path"),
        pytest.param((HEAD, *[b"y: z\r\n"] * 20_000), b"431", id="many headers"),
        pytest.param((b"no HTTP\r\n\r\n",), b"400", id="another protocol"),
        pytest.param((b"\x16\x03\x01\x02\x00\x01\x00",), b"400", id="TLS"),
    ],
)
async def test_a_head_is_bounded_in_bytes_and_time(
    pieces: tuple[bytes, ...], status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with serving() as (port, _):
            answer = await exchange(port, *pieces)
    assert answer.split(b" ")[:2] == [b"HTTP/1.1", status]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.slow
@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(GET + HEAD, id="half a second head"),
        pytest.param(
            b"POST /body HTTP/1.1\r\nHost: c\r\nContent-Length: 9\r\n\r\n1", id="half a body"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 9\r\n\r\n1", id="unread body"),
    ],
)
async def test_a_later_part_is_bounded_in_time(request_bytes: bytes) -> None:
    async with serving() as (port, _):
        await exchange(port, request_bytes)  # returns when the server closes


async def test_a_body_without_an_end_is_bounded_in_bytes() -> None:
    limits = ConnectionLimits(message_bytes=100_000)
    head = b"POST /body HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(limits) as (port, _):
        assert await exchange(port, head, *[b"3e8\r\n" + b"x" * 1000 + b"\r\n"] * 200) == b""


@pytest.mark.slow
async def test_an_idle_connection_is_closed() -> None:
    async with serving() as (port, _):
        assert (await exchange(port, GET)).endswith(b"\r\n\r\nok")


@pytest.mark.slow
async def test_a_kept_connection_may_be_used_again_and_again() -> None:
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(8):
            writer.write(GET * 2 if number % 2 else GET)
            for _ in range(1 + number % 2):
                await reader.readuntil(b"\r\n\r\nok")
            await asyncio.sleep(0.25)
        writer.close()


@pytest.mark.slow
async def test_a_client_that_does_not_read_is_disconnected_and_its_answer_ends() -> None:
    app = App()
    async with serving(app=app) as (port, _):
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.sendall(GET.replace(b"/ ", b"/large ", 1))
            closed = select.poll()
            closed.register(silent, 0)  # errors and hang-ups are always told
            assert await asyncio.to_thread(closed.poll, PATIENCE * 1000)
            assert 0 < app.blocked_at < LARGE / 2
    assert app.sent == LARGE  # the rest went nowhere, and the answer is over


async def test_a_slow_reader_gets_everything() -> None:
    limits = ConnectionLimits(write_seconds=2)
    async with serving(limits) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET.replace(b"/ ", b"/large ", 1))
        await reader.readuntil(b"\r\n\r\n")
        size = 0
        while size < LARGE:
            piece = await reader.read(LARGE // 16)
            assert piece
            size += len(piece)
            if size % 7 == 0:
                await asyncio.sleep(0.05)
        writer.close()
    assert size == LARGE


async def test_connections_beyond_the_limit_are_told_so() -> None:
    async with serving(ConnectionLimits(connections=3)) as (port, _):
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for reader, writer in kept:
            writer.write(GET)
            await reader.readuntil(b"ok")
        refused = await exchange(port, GET)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: " in refused
        for _, writer in kept:
            writer.close()
        await asyncio.sleep(0.1)
        assert (
            await exchange(port, GET.replace(b"c\r\n", b"c\r\nConnection: close\r\n"))
        ).endswith(b"ok")


@pytest.mark.slow
async def test_an_offer_of_http_2_is_answered_as_http_1(caplog: pytest.LogCaptureFixture) -> None:
    offer = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB"
    )
    with caplog.at_level(logging.INFO):
        async with serving() as (port, _):
            answer = await exchange(port, GET.replace(b"Host: c", b"Host: c\r\n" + offer))
            assert answer.startswith(b"HTTP/1.1 200 ")
            body = (
                b"POST /body HTTP/1.1\r\nHost: c\r\nContent-Length: 5\r\n"
                + offer
                + b"\r\n\r\nhello"
            )
            assert (await exchange(port, body)).endswith(b"\r\n\r\n5")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://c/x", "c", b"200"),
        ("http://c:8888/", "c:8888", b"200"),
        ("HTTP://c/?x", "c", b"200"),
        ("*", "c", b"200"),
        ("http://evil.example/x", "c", b"400"),
        ("http://c:1/x", "c:2", b"400"),
        ("http://c@evil.example/x", "c", b"400"),
        ("ftp://evil.example/x", "c", b"400"),
    ],
)
async def test_a_target_that_names_another_host_is_refused(
    target: str, host: str, status: bytes
) -> None:
    method = "OPTIONS" if target == "*" else "GET"
    head = f"{method} {target} HTTP/1.1\r\nhost: {host}\r\nConnection: close\r\n\r\n".encode()
    async with serving() as (port, _):
        assert (await exchange(port, head)).split()[1] == status
        assert (await exchange(port, head[:15], head[15:], pause=0.01)).split()[1] == status
        answers = await exchange(port, GET + head)  # in one piece with a request before it
        assert answers.count(b"HTTP/1.1 200 OK") == (2 if status == b"200" else 0)


async def test_fields_behind_a_body_are_refused_and_never_taken_for_headers() -> None:
    app = App()
    head = (
        b"POST /body HTTP/1.1\r\nHost: c\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    body, trailer = b"5\r\nhello\r\n0\r\n", b"Authorization: Bearer t\r\n\r\n"
    async with serving(app=app) as (port, _):
        assert (await exchange(port, head + body + b"\r\n")).endswith(b"\r\n\r\n5")
        assert (await exchange(port, head + body + trailer)).startswith(b"HTTP/1.1 400 ")
        assert await exchange(port, head + body, trailer, pause=0.05) == b""
    assert app.sent == 1


@pytest.mark.slow
async def test_a_stop_ends_held_connections_and_lets_a_running_request_finish() -> None:
    async with serving(ConnectionLimits()) as (port, server):
        held = [asyncio.create_task(exchange(port, sent)) for sent in (b"", HEAD, GET)]
        half = asyncio.create_task(
            exchange(
                port,
                b"POST /body HTTP/1.1\r\nHost: c\r\nContent-Length: 2\r\n\r\n1",
                b"2",
                pause=0.5,
            )
        )
        stuck = asyncio.create_task(
            exchange(port, b"POST /body HTTP/1.1\r\nHost: c\r\nContent-Length: 9\r\n\r\n1")
        )
        await asyncio.sleep(0.2)
        server.stop()
        answer = await half
        assert b"\r\nconnection: close\r\n" in answer
        assert answer.endswith(b"\r\n\r\n2")
        await asyncio.gather(*held, stuck)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody announces this condition
        await asyncio.sleep(0.001)


class Holding(App):
    """Holds each request until its connection has ended; notes requests and ends."""

    def __init__(self) -> None:
        self.begun = asyncio.Semaphore(0)
        self.ends = asyncio.Semaphore(0)
        self.at_end: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.at_end = scope["extensions"][AT_END]
        if scope["path"] != "/held":
            await super().__call__(scope, receive, send)
            return
        ended = asyncio.Event()
        self.at_end(ended.set)
        self.begun.release()
        await ended.wait()
        self.ends.release()


@pytest.mark.parametrize("is_reset", [False, True])
async def test_an_application_is_told_of_the_end_of_a_connection(is_reset: bool) -> None:
    app = Holding()
    async with serving(app=app) as (port, _), asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + GET.replace(b"/ ", b"/held "))
        await app.begun.acquire()
        assert app.ends.locked()
        if is_reset:
            writer.transport.abort()
        else:
            writer.close()
        await app.ends.acquire()
        told: list[int] = []
        app.at_end(lambda: told.append(1))  # too late: told at once
        app.at_end(None)
        assert told == [1]


async def test_who_asked_to_be_forgotten_is_not_told() -> None:
    app, told = Holding(), list[int]()
    async with serving(app=app) as (port, server), asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        app.at_end(lambda: told.append(1))
        app.at_end(None)
        writer.close()
        await until(lambda: not len(server._connections))
    assert told == []


async def test_a_closed_connection_leaves_nothing_for_the_collector() -> None:
    """A collection stops the event loop while thousands of requests are held."""
    app = Holding()
    async with serving(app=app) as (port, server), asyncio.timeout(PATIENCE):
        gc.disable()
        try:
            for target in (b"/ ", b"/held "):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(GET.replace(b"/ ", target))
                await until(lambda: len(server._connections) > 0)
                connection = weakref.ref(next(iter(server._connections._open)))
                if target == b"/ ":
                    await until(lambda: app.at_end is not None)
                else:
                    await app.begun.acquire()
                writer.close()
                app.at_end = None  # it belongs to the connection
                await until(lambda one=connection: one() is None)
        finally:
            gc.enable()


class Gated(App):
    """Answers `/held` when it may."""

    def __init__(self) -> None:
        self.begun, self.may_answer = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/held":
            self.begun.set()
            await self.may_answer.wait()
        await super().__call__(scope, receive, send)


async def test_requests_behind_a_running_one_wait_as_bytes() -> None:
    """In memory they would be a hundred times as large, for a client that reads nothing, too."""
    app = Gated()
    async with serving(ConnectionLimits(), app=app) as (port, server), asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET.replace(b"/ ", b"/held "))
        await app.begun.wait()
        post = b"POST /body HTTP/1.1\r\nHost: c\r\nContent-Length: 100000\r\n\r\n"
        last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        writer.write(GET * 3_000 + post + b"x" * 100_000 + GET * 40 + last)
        crowded: Any = next(iter(server._connections._open))
        await until(lambda: len(crowded._waiting) > 0)
        assert crowded._requests < 200
        app.may_answer.set()
        answers = await reader.read()
        writer.close()
    assert answers.count(b"HTTP/1.1 200 OK") == 1 + 3_000 + 1 + 40 + 1
    assert b"\r\n\r\n100000HTTP/1.1 200" in answers
