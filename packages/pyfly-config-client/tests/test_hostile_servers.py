"""Whatever a server does, nothing but whole and right configuration is used, and in time."""

import asyncio
import base64
import gzip
import hashlib
import itertools
import json
import socket
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from pyfly.config_client import ConfigClient, ConfigClientError, Properties, SyncConfigClient

pytestmark = pytest.mark.anyio

TIMEOUT = 0.6
SLACK = 60.0
"""Seconds beyond the deadline on a machine that is busy; the figure itself is recorded."""
PATIENCE = 60.0
MEMORY = 48 * 1024 * 1024

Behaviour = Callable[[socket.socket], None]


def document(value: int) -> dict[str, Any]:
    sources = [{"name": "main/orders.yaml", "source": {"a": value, "text": "ü" * 50}}]
    return {"name": "orders", "profiles": ["prod"], "label": None, "propertySources": sources}


MARK = 666_666_666
"""A value that must not be shown; no port looks like it."""
WRONG = json.dumps(document(MARK), ensure_ascii=False).encode()
"""What must never be used: every behaviour makes it wrong in another way."""


def digest(body: bytes) -> str:
    return f"Content-Digest: sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def send(*pieces: bytes, pause: float = 0.0) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)

    return behave


def answer(body: bytes, *headers: str, status: str = "200 OK", **how: Any) -> Behaviour:
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers]
    if not any("ontent-" in line and "ength" in line for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    return send("\r\n".join([*lines, "", ""]).encode("latin-1") + body, **how)


def as_json(body: Any, *headers: str, **how: Any) -> Behaviour:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answer(text, "Content-Type: application/json", *headers, **how)


def until_closed(body: bytes, *headers: str) -> bytes:
    """Return an answer whose end is the end of the connection."""
    lines = ["HTTP/1.1 200 OK", "Connection: close", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def drip(data: bytes) -> Behaviour:
    return send(*(bytes([byte]) for byte in data[:400]), pause=0.05)


def endless(start: bytes, piece: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in itertools.repeat(None):
            connection.sendall(piece)

    return behave


def hold(data: bytes = b"") -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.settimeout(PATIENCE)
        connection.recv(1)  # until the client has gone

    return behave


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def changed(**fields: Any) -> bytes:
    return json.dumps(document(MARK) | fields).encode()


def sources(value: Any) -> bytes:
    return changed(propertySources=[{"name": "main/x", "source": value}])


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = zlib.compressobj(1, wbits=31)
BOMB_BODY = b"".join(BOMB.compress(bytes(MEMORY // 8)) for _ in range(10)) + BOMB.flush()

BEHAVIOURS: dict[str, Behaviour] = {
    "closes at once": send(b""),
    "resets the connection": reset,
    "sends garbage": send(b"\x00\xff garbage \r\n\r\n"),
    "sends a body without a head": send(WRONG),
    "speaks HTTP/2": send(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"),
    "ends in the status line": send(b"HTTP/1.1 20"),
    "ends in the headers": send(HEAD + b"Content-Len"),
    "says nothing": hold(),
    "says nothing after the headers": hold(HEAD + b"Content-Length: 9\r\n\r\n"),
    "never ends the body it announced": hold(HEAD + b"Content-Length: 99999\r\n\r\n" + WRONG),
    "drips the headers": drip(until_closed(WRONG)),
    "drips the body": send(HEAD + b"\r\n", *(bytes([byte]) for byte in WRONG[:200]), pause=0.5),
    "informs for ever": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "switches protocols": answer(b"", status="101 Switching Protocols"),
    "sends endless headers": endless(HEAD, b"X-Filler: " + b"x" * 50_000 + b"\r\n"),
    "sends one endless header": endless(HEAD + b"X-Filler: ", b"x" * 65_536),
    "sends an endless body": endless(HEAD + b"\r\n" + WRONG[:-1], b" " * 65_536),
    "sends endless chunks": endless(CHUNKED, b"10000\r\n" + b" " * 65_536 + b"\r\n"),
    "cuts a body of known length": send(
        HEAD + f"Content-Length: {len(WRONG)}\r\n\r\n".encode() + WRONG[:-9]
    ),
    "cuts chunks": send(CHUNKED + f"{len(WRONG):x}\r\n".encode() + WRONG + b"\r\n"),
    "sends a chunk of negative size": send(CHUNKED + b"-5\r\n" + WRONG + b"\r\n0\r\n\r\n"),
    "sends a chunk of immense size": send(CHUNKED + b"f" * 30 + b"\r\n" + WRONG),
    "sends endless trailers": endless(CHUNKED + b"0\r\n", b"X-Filler: " + b"x" * 50_000 + b"\r\n"),
    "sends an endless extension of a chunk": endless(CHUNKED + b"5;", b"x" * 65_536),
    "sends a broken chunk size": send(CHUNKED + b"zz\r\n" + WRONG + b"\r\n0\r\n\r\n"),
    "cuts a body of unknown length": send(until_closed(WRONG[:-1], digest(WRONG))),
    "cuts it where no digest tells": send(until_closed(WRONG[:-1])),
    "cuts it inside of a letter": send(until_closed(WRONG[: WRONG.index("ü".encode()) + 1])),
    "announces less than it sends": as_json(WRONG, f"Content-Length: {len(WRONG) - 3}"),
    "announces two lengths": as_json(WRONG, "Content-Length: 5", f"Content-Length: {len(WRONG)}"),
    "announces a negative length": as_json(WRONG, "Content-Length: -5"),
    "announces an immense length": as_json(WRONG, f"Content-Length: {'9' * 5000}"),
    "announces a length that is none": as_json(WRONG, "Content-Length: many"),
    "encodes what was not to be encoded": as_json(gzip.compress(WRONG), "Content-Encoding: gzip"),
    "cuts an encoded body": as_json(gzip.compress(WRONG)[:-20], "Content-Encoding: gzip"),
    "sends a bomb": as_json(BOMB_BODY, "Content-Encoding: gzip"),
    "sends a bomb as deflate": as_json(
        zlib.compress(bytes(30_000_000), 1), "Content-Encoding: deflate"
    ),
    "sends a bomb in a bomb": as_json(gzip.compress(BOMB_BODY), "Content-Encoding: gzip, gzip"),
    "encodes in a way nobody knows": as_json(WRONG, "Content-Encoding: br"),
    "transfers in a way nobody knows": as_json(WRONG, "Transfer-Encoding: gzip"),
    "sends no content": answer(b"", status="204 No Content"),
    "sends nothing as JSON": as_json(b""),
    "sends the page of a login": answer(b"<html>Log in</html>", "Content-Type: text/html"),
    "calls JSON a text": answer(WRONG, "Content-Type: text/plain"),
    "does not say what it sends": answer(WRONG),
    "redirects to itself": as_json(WRONG, "Location: /config/orders/prod", status="307 Again"),
    "redirects to a file": as_json(WRONG, "Location: file:///etc/passwd", status="301 Moved"),
    "redirects": as_json(WRONG, "Location: http://127.0.0.1:1/", status="302 Found"),
    "says that nothing changed": answer(b"", status="304 Not Modified"),
    "refuses the request": as_json(WRONG, status="400 Bad Request"),
    "refuses the credential": as_json(WRONG, status="401 Unauthorized"),
    "does not know the label": as_json(WRONG, status="404 Not Found"),
    "is asked too often": as_json(WRONG, "Retry-After: 0", status="429 Too Many Requests"),
    "fails": as_json(WRONG, status="500 Internal Server Error"),
    "is not available for long": as_json(WRONG, "Retry-After: 999999999", status="503 Busy"),
    "answers with a status of two digits": send(b"HTTP/1.1 20 OK\r\n\r\n" + WRONG),
    "answers with a status that is none": as_json(WRONG, status="999 Beyond"),
    "answers as HTTP/0.9 did": send(WRONG + b"\r\n\r\n"),
    "sends a header of odd bytes": as_json(WRONG[:-1], "ETag: \xff\xfe", "X-\xfc: \xe9"),
    "sends a NUL in a header": as_json(WRONG, "X-Odd: a\0b"),
    "folds its headers": as_json(WRONG[:-1], "X-Odd: a\r\n b\r\n\tc"),
    "accepts instead of answering": as_json(WRONG, status="202 Accepted"),
    "sends a part": as_json(WRONG, status="206 Partial Content"),
    "sends another digest": as_json(WRONG, digest(b"")),
    "sends a digest nobody knows": as_json(WRONG, "Content-Digest: crc32=:AAAA:"),
    "sends a digest that is none": as_json(WRONG, "Content-Digest: sha-256=:?:"),
    "answers for another application": as_json(changed(name="billing")),
    "answers for another profile": as_json(changed(profiles=["dev"])),
    "answers for fewer profiles": as_json(changed(profiles=[])),
    "sends a list": as_json([document(MARK)]),
    "sends null": as_json(b"null"),
    "sends no sources": as_json(changed(propertySources=None)),
    "sends empty sources": as_json(changed(propertySources=[])),
    "sends sources that are empty": as_json(sources({})),
    "sends a source that is a list": as_json(sources([1])),
    "sends a source without a name": as_json(changed(propertySources=[{"source": {"a": 1}}])),
    "sends a tree for a value": as_json(sources({"a": {"b": MARK}})),
    "sends a list for a value": as_json(sources({"a": [MARK]})),
    "sends a number that is none": as_json(WRONG.replace(str(MARK).encode(), b"NaN")),
    "sends a number beyond all": as_json(WRONG.replace(str(MARK).encode(), b"1e999")),
    "sends half of a surrogate pair": as_json(WRONG.replace("ü".encode(), b"\\ud800")),
    "begins with a mark of byte order": as_json(b"\xef\xbb\xbf" + WRONG),
    "sends latin-1": as_json(WRONG.decode().encode("latin-1")),
    "says a key twice": as_json(WRONG.replace(b'"a"', b'"text": 1, "a"')),
    "nests without end": as_json(b"[" * 200_000),
    "sends another encoding": as_json(WRONG.decode().encode("utf-16")),
    "sends two documents": as_json(WRONG + WRONG),
}
ALL = pytest.mark.parametrize("behaviour", [pytest.param(b, id=n) for n, b in BEHAVIOURS.items()])


@pytest.fixture
def arguments(server: Any) -> dict[str, Any]:
    return {
        "server_url": server.url,
        "application": "orders",
        "profile": "prod",
        "timeout": TIMEOUT,
        "attempts": 1,
    }


@pytest.mark.slow
@ALL
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_no_start_uses_what_it_sends(
    server: Any,
    arguments: Any,
    behaviour: Behaviour,
    kind: str,
    record_property: Callable[[str, object], None],
) -> None:
    server.turns = [behaviour]
    began = time.monotonic()
    with pytest.raises(ConfigClientError) as caught:
        await fetch(kind, arguments)
    record_property("seconds", time.monotonic() - began)
    assert time.monotonic() - began < TIMEOUT + SLACK
    assert str(MARK) not in str(caught.value)


async def fetch(kind: str, arguments: Any) -> Properties:
    if kind == "async":
        return await ConfigClient(**arguments).fetch()
    return await asyncio.to_thread(SyncConfigClient(**arguments).fetch)


@pytest.mark.parametrize(
    "name", [name for name in BEHAVIOURS if "endless" in name or "bomb" in name]
)
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_memory_is_bounded(server: Any, arguments: Any, name: str, kind: str) -> None:
    server.turns = [BEHAVIOURS[name]]
    tracemalloc.start()
    try:
        with pytest.raises(ConfigClientError):
            await fetch(kind, arguments | {"timeout": 3.0})
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@ALL
async def test_no_watcher_uses_what_it_sends(
    server: Any, arguments: Any, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyfly.config_client._watch._MAX_RETRY_AFTER", 0.1)
    monkeypatch.setattr("pyfly.config_client._watch._FIRST_PAUSE", 0.1)
    server.answer_json(document(1))
    client = ConfigClient(**arguments)
    async with asyncio.timeout(PATIENCE):
        while client.current is None:  # a machine that is busy may need another attempt
            try:
                await client.fetch()
            except ConfigClientError:
                await asyncio.sleep(0.1)
    server.turns = [behaviour]
    server.answer_json(document(2))
    watch = client.watch(interval=0.05)
    change = await asyncio.wait_for(anext(watch), PATIENCE)
    await watch.aclose()
    assert (change.previous["a"], change.properties["a"], change.changed) == (1, 2, {"a"})
    assert not server.turns


def test_there_are_more_than_thirty_behaviours() -> None:
    assert len(BEHAVIOURS) > 30
