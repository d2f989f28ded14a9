"""The plain ASGI application: paths below mounts, bodies, lifespan, and how bodies are sent."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    ConfigSource,
    HealthSettings,
    HttpRequest,
    HttpResponse,
    InMemoryConfigBackend,
    SharedCredential,
)
from pyfly.config_server.http.asgi import MAX_PENDING_BYTES, http_request

pytestmark = pytest.mark.anyio

PIECE = 65_536
SCOPE: Any = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "raw_path": b"/",
    "root_path": "",
    "query_string": b"",
    "headers": [],
}
TOKEN = (b"authorization", b"Bearer t")


class Ready:
    """Answers every request with the same response."""

    def __init__(self, body: bytes) -> None:
        self.response = HttpResponse(status=200, body=body)

    async def handle(self, request: HttpRequest) -> HttpResponse:
        return self.response


def app_of(ready: Ready) -> Any:
    app = ConfigServerApp(ConfigServer(InMemoryConfigBackend()), auth=None)
    app._handle = ready.handle
    return app


class Connection:
    """One side of an ASGI connection: what is received, and what was sent."""

    def __init__(self, *messages: Any) -> None:
        self.messages = list(messages)
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def document(self) -> Any:
        return json.loads(self.sent[1]["body"])


async def ask(app: Any, path: str, *messages: Any, **more: Any) -> Connection:
    connection = Connection(*messages)
    scope = SCOPE | {"path": path, "raw_path": path.encode()} | more
    await app(scope, connection.receive, connection.send)
    return connection


# --- how bodies are sent ------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 2 * PIECE, 5 * PIECE - 1])
async def test_an_answer_goes_out_in_pieces_of_64_kib(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    sent = (await ask(app_of(Ready(body)), "/")).sent
    pieces = sent[1:]
    assert b"".join(piece["body"] for piece in pieces) == body
    assert all(len(piece["body"]) == PIECE for piece in pieces[:-1])
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert len(pieces) == max(1, -(-size // PIECE))


async def test_slow_readers_of_large_answers_cannot_fill_the_memory() -> None:
    large = Ready(b"x" * (MAX_PENDING_BYTES // 4))
    handle: Any = app_of(large)
    begun, taken = asyncio.Event(), asyncio.Event()
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
            if len(statuses) == 5:
                begun.set()
        elif len(message["body"]) == PIECE:
            await taken.wait()

    slow = [asyncio.create_task(handle(SCOPE, None, send)) for _ in range(5)]
    await begun.wait()
    assert sorted(statuses) == [200] * 4 + [503]
    large.response = HttpResponse(status=200, body=b"small")
    await handle(SCOPE, None, send)
    assert statuses[-1] == 200
    taken.set()
    await asyncio.gather(*slow)
    large.response = HttpResponse(status=200, body=b"x" * MAX_PENDING_BYTES)
    await handle(SCOPE, None, send)
    assert statuses[-1] == 200


# --- paths --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root_path", "raw_path", "expected"),
    [
        ("", b"/config/a/b", (b"", b"/config/a/b")),
        ("/outer", b"/outer/config/a/b", (b"/outer", b"/config/a/b")),
        ("/outer/", b"/outer/config/a/b", (b"/outer", b"/config/a/b")),
        ("/outer", b"/outer", (b"/outer", b"")),
        ("/outer", b"/config/a/b", (b"/outer", b"/config/a/b")),  # a server that sends it without
        ("/con", b"/config/a/b", (b"/con", b"/config/a/b")),
        ("/a b", b"/a%20b/config/a/b", (b"/a%20b", b"/config/a/b")),
        ("/ä", "/ä/config/a/b".encode(), ("/ä".encode(), b"/config/a/b")),
        ("/outer", b"/outer/outer/a", (b"/outer", b"/outer/a")),
        ("/outer", b"/%6Futer/config/a/b", (b"/%6Futer", b"/config/a/b")),
        ("/a/b", b"/a%2Fb/config/a/b", (b"/a/b", b"/a%2Fb/config/a/b")),
        ("/a/b", b"/a", (b"/a/b", b"/a")),
    ],
)
def test_the_prefix_of_a_mount_is_no_part_of_the_path(
    root_path: str, raw_path: bytes, expected: tuple[bytes, bytes]
) -> None:
    scope = SCOPE | {"root_path": root_path, "raw_path": raw_path}
    request = http_request(scope, Connection().receive)
    assert (request.root_path, request.raw_path) == expected


@pytest.mark.parametrize(
    ("root_path", "outer", "raw_path", "expected"),
    [
        ("/proxy/config", "/proxy", b"/config/a/b", (b"/proxy/config", b"/a/b")),
        ("/proxy/config", "/proxy", b"/proxy/config/a/b", (b"/proxy/config", b"/a/b")),
        ("/proxy/config", "/proxy/", b"/config", (b"/proxy/config", b"")),
        ("/config", "", b"/config/a/b", (b"/config", b"/a/b")),
        ("/proxy", "/proxy", b"/config/a/b", (b"/proxy", b"/config/a/b")),
    ],
)
def test_the_prefix_that_only_the_framework_knows_is_no_part_of_the_mount(
    root_path: str, outer: str, raw_path: bytes, expected: tuple[bytes, bytes]
) -> None:
    scope = SCOPE | {"root_path": root_path, "raw_path": raw_path, "app_root_path": outer}
    request = http_request(scope, Connection().receive)
    assert (request.root_path, request.raw_path) == expected


@pytest.mark.parametrize(
    ("path", "raw_path"),
    [
        ("/config/a,b/c", b"/config/a,b/c"),
        ("/config/ü/c", b"/config/%C3%BC/c"),
        ("/config/50%/c", b"/config/50%25/c"),
        ("/config/a(_)b/c?", b"/config/a(_)b/c%3F"),
    ],
)
def test_a_server_need_not_send_the_raw_path(path: str, raw_path: bytes) -> None:
    scope = {name: value for name, value in SCOPE.items() if name != "raw_path"}
    scope |= {"path": path}
    assert http_request(scope, Connection().receive).raw_path == raw_path
    del scope["root_path"], scope["query_string"]
    assert http_request(scope, Connection().receive).query == b""


async def test_everything_that_names_a_path_names_it_with_the_prefix_of_the_mount() -> None:
    server = ConfigServer(InMemoryConfigBackend())
    app = ConfigServerApp(server, auth=SharedCredential.bearer("t"))
    outer: Any = {"root_path": "/outer", "headers": [TOKEN, (b"if-none-match", b"*")]}
    outer["headers"].append((b"content-type", b"application/json"))
    body = {"type": "http.request", "body": b'{"a": 1}', "more_body": False}
    path = "/outer/config/_bundles/orders/prod/main"
    created = await ask(app, path, body, method="PUT", **outer)
    assert (created.status, created.headers[b"location"]) == (201, path.encode())
    conflict = await ask(app, path, body, method="PUT", **outer)
    assert (conflict.status, conflict.document["instance"]) == (412, path)
    missing = await ask(app, "/outer/config/nothing", **outer)
    assert (missing.status, missing.document["path"]) == (404, "/outer/config/nothing")
    described = await ask(app, "/outer/config/_openapi.json", root_path="/outer", headers=[TOKEN])
    assert described.document["servers"] == [{"url": "/outer/config"}]
    plain = await ask(app, "/config/_openapi.json", headers=[TOKEN])
    assert plain.document["servers"] == [{"url": "/config"}]


@pytest.mark.parametrize(
    ("base_path", "path", "expected"),
    [
        ("/config", "/config", True),
        ("/config", "/config/", True),
        ("/config", "/config/a/b", True),
        ("/config", "/configuration", False),
        ("/config", "/health/live", True),
        ("/config", "/health", False),
        ("/config", "/", False),
        ("/config", "/outer/config/a", False),
        ("", "/", True),
        ("", "/anything", True),
    ],
)
def test_an_application_says_what_it_serves(base_path: str, path: str, expected: bool) -> None:
    server = ConfigServer(InMemoryConfigBackend(), base_path=base_path)
    app = ConfigServerApp(server, auth=None, health=HealthSettings())
    assert app.serves(SCOPE | {"path": path}) == expected
    assert app.serves(SCOPE | {"path": f"/outer{path}", "root_path": "/outer"}) == expected
    assert not app.serves(SCOPE | {"path": path, "type": "websocket"})


async def test_health_is_served_where_it_is_asked_for() -> None:
    server = ConfigServer(InMemoryConfigBackend())
    credential = SharedCredential.bearer("t")
    with_health = ConfigServerApp(server, auth=credential, health=HealthSettings())
    without = ConfigServerApp(server, auth=credential)
    for path in ("/health/live", "/health/ready", "/actuator/health"):
        assert (await ask(with_health, path)).status == 200
        assert (await ask(with_health, path, method="DELETE")).status == 405
        assert (await ask(without, path)).status == 401
        assert (await ask(without, path, headers=[TOKEN])).status == 404


# --- what a client sends, and when it goes ------------------------------------------------


def part(body: bytes, *, more: bool) -> Any:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_is_read_whole_or_raises() -> None:
    connection = Connection(part(b"a", more=True), {"type": "http.request", "more_body": True})
    connection.messages += [part(b"b", more=False)]
    assert await http_request(SCOPE, connection.receive).read_body() == b"ab"
    connection = Connection(part(b"a", more=True))
    with pytest.raises(ConnectionError):
        await http_request(SCOPE, connection.receive).read_body()


async def test_a_request_knows_when_its_client_has_gone() -> None:
    gone = asyncio.Event()
    first: list[Any] = [part(b"unread", more=True), part(b"", more=False)]

    async def receive() -> Any:
        if first:
            return first.pop(0)
        await gone.wait()
        return {"type": "http.disconnect"}

    request = http_request(SCOPE, receive)
    assert request.disconnected is not None
    waiting = asyncio.create_task(request.disconnected())
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    gone.set()
    await asyncio.wait_for(waiting, 30)


async def test_a_websocket_is_closed() -> None:
    app = ConfigServerApp(ConfigServer(InMemoryConfigBackend()), auth=None)
    connection = await ask(app, "/config/a/b", type="websocket")
    assert [message["type"] for message in connection.sent] == ["websocket.close"]


# --- lifespan -----------------------------------------------------------------------------


class Closing(InMemoryConfigBackend):
    """A store that counts how often it is closed, and may fail at it."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.closed = 0
        self.fails = fails

    async def aclose(self) -> None:
        self.closed += 1
        if self.fails:
            raise RuntimeError("password=hunter2")
        await super().aclose()


async def live(app: Any) -> Sequence[Any]:
    connection = Connection({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await app({"type": "lifespan"}, connection.receive, connection.send)
    return connection.sent


async def test_the_server_is_closed_when_the_lifespan_ends() -> None:
    complete = [{"type": f"lifespan.{name}.complete"} for name in ("startup", "shutdown")]
    store = Closing()
    assert await live(ConfigServerApp(ConfigServer(store), auth=None)) == complete
    assert store.closed == 1


async def test_a_store_that_cannot_be_closed_fails_the_shutdown_without_its_text() -> None:
    connection = Connection({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    app = ConfigServerApp(ConfigServer(Closing(fails=True)), auth=None)
    with pytest.raises(RuntimeError):
        await app({"type": "lifespan"}, connection.receive, connection.send)
    assert connection.sent[-1]["type"] == "lifespan.shutdown.failed"
    assert "hunter2" not in connection.sent[-1]["message"]


async def test_documents_are_served() -> None:
    store = InMemoryConfigBackend()
    await store.save(ConfigSource(application="orders", profile="prod", properties={"a": 1}))
    app = ConfigServerApp(ConfigServer(store), auth=None)
    answer = await ask(app, "/config/orders/prod")
    assert answer.document["propertySources"][0]["source"] == {"a": 1}
    assert (await ask(app, "/elsewhere")).status == 404
