"""Direct answers: the same bytes as those of the server behind them, and only while they hold."""

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest

from pyfly.config_cli._serving import direct
from pyfly.config_cli._serving.application import ReplaceableApp
from pyfly.config_cli._serving.direct import DirectAnswers
from pyfly.config_cli._serving.http_server import BACKLOG, HttpServer
from pyfly.config_cli._serving.limits import ConnectionLimits
from pyfly.config_cli._serving.listeners import bind, listen, resolve
from pyfly.config_core import ConfigKey
from pyfly.config_litestar import ReadyApp, create_asgi_app
from pyfly.config_server import (
    Authenticator,
    ConfigServer,
    ConfigSource,
    HostPolicy,
    HttpError,
    HttpRequest,
    InMemoryConfigBackend,
    LiveOptions,
    Principal,
    Rule,
    SharedCredential,
    Telemetry,
)
from pyfly.config_server.storage import ANY

pytestmark = pytest.mark.anyio

PATIENCE = 30
PATHS = ("/config/orders/dev", "/config/orders-dev.yml", "/config/billing/dev/main?x=1")
LAST = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
DATE = re.compile(rb'date: [^\r]+ GMT\r\n|"timestamp":"[^"]+"|x-request-id: \w+\r\n')


def get(path: str = PATHS[0], *fields: str, version: str = "1.1", host: str = "localhost") -> bytes:
    lines = [f"GET {path} HTTP/{version}", f"Host: {host}", *fields, "", ""]
    return "\r\n".join(lines).encode()


@dataclass
class Site:
    """A server."""

    port: int
    store: InMemoryConfigBackend
    app: ReplaceableApp
    telemetry: Telemetry

    def current(self) -> DirectAnswers:
        found = self.app.direct()
        assert found is not None
        return found

    async def ask(self, *pieces: bytes, last: bytes = LAST) -> bytes:
        """Send pieces; return all responses without their dates."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.003)
            writer.write(last)
            async with asyncio.timeout(PATIENCE):
                return DATE.sub(b"", await reader.read())
        finally:
            writer.close()


class Counting(DirectAnswers):
    """Direct answers that count themselves."""

    answered = 0

    def find(self, request: bytes) -> bytes | None:
        found = super().find(request)
        self.answered += found is not None
        return found


@pytest.fixture(autouse=True)
def count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyfly.config_cli._serving.application.DirectAnswers", Counting)


def make_app(
    store: InMemoryConfigBackend,
    auth: Authenticator | None,
    hosts: HostPolicy | None,
    telemetry: Telemetry,
) -> ReadyApp:
    live = LiveOptions()
    return create_asgi_app(
        ConfigServer(store), auth=auth, hosts=hosts, live=live, telemetry=telemetry
    )


@contextlib.asynccontextmanager
async def serving(
    *,
    auth: Authenticator | None = None,
    hosts: HostPolicy | None = None,
    is_direct: bool = True,
    limits: ConnectionLimits | None = None,
) -> AsyncGenerator[Site]:
    store, telemetry = InMemoryConfigBackend(), Telemetry()
    for application in ("orders", "billing"):
        await store.save(ConfigSource(application=application, profile="dev", properties={"a": 1}))
    app = ReplaceableApp()
    await app.replace(make_app(store, auth, hosts, telemetry))
    listeners = bind("127.0.0.1", resolve("127.0.0.1", 0))
    listen("127.0.0.1", listeners, backlog=BACKLOG)
    ready = asyncio.Event()
    server = HttpServer(
        app,
        listeners,
        limits=limits or ConnectionLimits(),
        ready=ready.set,
        direct=app.direct if is_direct else lambda: None,
    )
    port = listeners[0].getsockname()[1]
    running = asyncio.create_task(server.run())
    await ready.wait()
    try:
        yield Site(port=port, store=store, app=app, telemetry=telemetry)
    finally:
        app.close_connections()
        server.stop()
        await running
        await app.aclose()


def answered(site: Site) -> int:
    """Return how many answers of the current application were direct."""
    found = site.current()
    assert isinstance(found, Counting)
    return found.answered


async def test_the_third_answer_costs_no_parsing_and_is_the_same() -> None:
    async with serving() as site:
        first, second, third = [await site.ask(get()) for _ in range(3)]
        assert answered(site) == 2
    assert first == second == third
    assert first.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")


async def test_a_direct_answer_has_a_date() -> None:
    async with serving() as site:
        await site.ask(get())
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(get())
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert answered(site) == 1
    assert len(DATE.findall(head)) == 1


async def test_direct_answers_are_counted_as_all_others() -> None:
    async with serving() as site:
        for _ in range(3):
            await site.ask(get(), get())
        counters = site.telemetry.counters
        assert answered(site) == 5
    assert (counters.hits, counters.misses) == (5, 1)
    assert counters.routes["environment"].statuses == {200: 6}


async def test_a_write_is_seen_by_the_next_request() -> None:
    async with serving() as site:
        server = site.app
        before = [await site.ask(get()) for _ in range(3)]
        await site.store.save(
            ConfigSource(application="orders", profile="dev", properties={"a": 2})
        )
        after = await site.ask(get("/config/orders/dev", "Cache-Control: no-cache"))
        later = [await site.ask(get()) for _ in range(3)]
        assert server.direct() is not None
    assert before[0] == before[1] == before[2] != after
    assert after == later[0] == later[1] == later[2]
    assert b'"a":2' in after


async def test_a_known_entity_tag_gets_304_until_the_document_changes() -> None:
    async with serving() as site:
        tag = re.findall(rb"etag: ([^\r]+)", await site.ask(get()))[0].decode()
        same = [await site.ask(get(PATHS[0], f"If-None-Match: {tag}")) for _ in range(4)]
        assert answered(site) >= 3
        key = ConfigKey(application="orders", profile="dev", label="main")
        await site.store.delete(key, expected=ANY)
        await site.ask(get("/config/orders/dev", "Cache-Control: no-cache"))
        gone = [await site.ask(get(PATHS[0], f"If-None-Match: {tag}")) for _ in range(3)]
    assert {one[:12] for one in same} == {b"HTTP/1.1 304"}
    assert {one[:12] for one in gone} == {b"HTTP/1.1 200"}


async def test_the_credential_is_checked_for_each_request() -> None:
    right, wrong = "Authorization: Bearer secret", "Authorization: Bearer secreT"
    async with serving(auth=SharedCredential.bearer("secret")) as site:
        for _ in range(3):
            assert (await site.ask(get(PATHS[0], right)))[:12] == b"HTTP/1.1 200"
            assert (await site.ask(get(PATHS[0], wrong)))[:12] == b"HTTP/1.1 401"
            assert (await site.ask(get()))[:12] == b"HTTP/1.1 401"
        assert answered(site) == 2


class Badges:
    """Knows two principals, each with its own application, until a test changes that."""

    scheme = "bearer"

    def __init__(self) -> None:
        self.principals = {
            f"Bearer {name}".encode(): Principal(
                name=name, rules=(Rule.parse(rights=["read"], on=f"{name}/*/*"),)
            )
            for name in ("orders", "billing")
        }

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        return self.principals.get(authorization or b"")

    async def authenticate(self, request: HttpRequest) -> Principal:
        found = self.principal_of(request.header(b"authorization"))
        if found is None:
            raise HttpError(401, "unauthorized")
        return found


def statuses(answers: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1.1 (\d+)", answers)


async def test_bytes_made_ready_for_one_principal_are_for_no_other() -> None:
    own, foreign = "Authorization: Bearer orders", "Authorization: Bearer billing"
    asked = [get(PATHS[0], who) for who in (own, foreign, own, foreign)]
    async with serving(auth=Badges()) as site:
        tag = re.findall(rb"etag: ([^\r]+)", await site.ask(asked[0]))[0].decode()
        for _ in range(4):
            one_by_one = [await site.ask(one) for one in asked]
            assert [statuses(one)[0] for one in one_by_one] == [b"200", b"403"] * 2
            # pipelined on one connection, and in one piece
            assert statuses(await site.ask(*asked))[:4] == [b"200", b"403"] * 2
            assert statuses(await site.ask(b"".join(asked)))[:4] == [b"200", b"403"] * 2
        assert answered(site) > 10
        for _ in range(3):
            known = get(PATHS[0], foreign, f"If-None-Match: {tag}")
            assert statuses(await site.ask(known))[0] == b"403"
            ranged = get(PATHS[0], foreign, "Range: bytes=0-1")
            assert statuses(await site.ask(ranged))[0] == b"403"


async def test_a_right_that_is_taken_away_counts_for_the_next_request() -> None:
    badges, asked = Badges(), get(PATHS[0], "Authorization: Bearer orders")
    async with serving(auth=badges) as site:
        for _ in range(2):
            kept = badges.principals[b"Bearer orders"]
            for _ in range(3):
                assert statuses(await site.ask(asked))[0] == b"200"
            badges.principals[b"Bearer orders"] = Principal(name="orders")
            for _ in range(3):
                assert statuses(await site.ask(asked))[0] == b"403"
            badges.principals[b"Bearer orders"] = kept


async def test_the_host_is_checked_for_each_request() -> None:
    async with serving(hosts=HostPolicy()) as site:
        for _ in range(3):
            assert (await site.ask(get()))[:12] == b"HTTP/1.1 200"
            assert (await site.ask(get(host="evil.example")))[:12] == b"HTTP/1.1 421"
            foreign = get(PATHS[0], "Origin: http://evil.example")
            assert (await site.ask(foreign))[:12] == b"HTTP/1.1 403"
        assert answered(site) == 2


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(get(version="1.0"), id="HTTP/1.0"),
        pytest.param(get(PATHS[0], "Connection: close"), id="close"),
        pytest.param(get().replace(b"GET", b"HEAD"), id="HEAD"),
        pytest.param(get(PATHS[0], "Prefer: wait=1"), id="waiting"),
        pytest.param(get("/config/nobody/dev/unknown"), id="404"),
        pytest.param(get("/health/live"), id="health"),
        pytest.param(get("http://localhost/config/orders/dev"), id="a target with a host"),
        pytest.param(get(PATHS[0], "X: " + "y" * 1_024), id="a long head"),
        pytest.param(get(PATHS[0], "If-None-Match: *"), id="any entity tag"),
    ],
)
async def test_other_requests_are_left_to_the_server(request_bytes: bytes) -> None:
    async with serving() as site, serving(is_direct=False) as plain:
        await site.ask(get())
        last = b"" if b"HTTP/1.0" in request_bytes or b"close" in request_bytes else LAST
        answers = [await site.ask(request_bytes, last=last) for _ in range(3)]
        assert answered(site) == 0
        assert set(answers) == {await plain.ask(request_bytes, last=last)}


@pytest.mark.slow
async def test_requests_in_any_pieces_have_the_answers_of_the_server() -> None:
    numbers = random.Random(7)
    choices = [
        *(get(path) for path in PATHS),
        *(get(path) for path in PATHS),
        get(PATHS[0], "Content-Length: 5") + b"hello",
        get(PATHS[0], "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n",
        get(PATHS[1], "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"),
        b"\r\n" + get(),
        get("/config/orders/dev#x"),
        get("/health/ready"),
        get("/nowhere"),
        b"PUT /config/_bundles/orders/dev/main HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 2\r\n\r\n{}",
    ]
    async with serving() as site, serving(is_direct=False) as plain:
        for path in PATHS:
            await site.ask(get(path))
        for _ in range(60):
            script = b"".join(numbers.choices(choices, k=numbers.randint(1, 6)))
            pieces = cut(script, numbers)
            assert await site.ask(*pieces) == await plain.ask(*pieces), pieces
        assert answered(site) > 20


def cut(script: bytes, numbers: random.Random) -> list[bytes]:
    """Cut at requests, at random places, or not at all."""
    kind = numbers.randrange(3)
    if kind == 0:
        return [script]
    if kind == 1:
        return [piece for piece in re.split(rb"(?=GET |PUT )", script) if piece]
    places = sorted(numbers.sample(range(1, len(script)), k=min(3, len(script) - 1)))
    return [script[a:b] for a, b in zip([0, *places], [*places, len(script)], strict=True)]


@pytest.mark.slow
async def test_a_request_behind_a_running_one_waits_its_turn() -> None:
    tag = "If-None-Match: *"
    async with serving() as site:
        first = await site.ask(get())
        etag = re.findall(rb"etag: ([^\r]+)", first)[0].decode()
        held = get(PATHS[0], f"If-None-Match: {etag}", "Prefer: wait=1")
        both = await site.ask(held, get(PATHS[0]), get(PATHS[0], tag))
    statuses = re.findall(rb"HTTP/1.1 (\d+)", both)
    assert statuses == [b"304", b"200", b"304", b"200"]


async def test_a_reload_forgets_what_was_known() -> None:
    async with serving() as site:
        before = [await site.ask(get()) for _ in range(3)]
        other = InMemoryConfigBackend()
        await other.save(ConfigSource(application="orders", profile="dev", properties={"b": 2}))
        await site.app.replace(make_app(other, None, None, Telemetry()))
        after = [await site.ask(get()) for _ in range(3)]
    assert len({*before}) == len({*after}) == 1
    assert b'"a":1' in before[0]
    assert b'"b":2' in after[0]


async def test_a_stopping_server_ends_its_connections() -> None:
    async with serving() as site:
        await site.ask(get())
        await site.ask(get())
        site.app.close_connections()
        assert site.app.direct() is None
        assert b"connection: close" in await site.ask(get())


@pytest.mark.slow
async def test_an_idle_connection_is_closed_whoever_answered_last() -> None:
    async with serving(limits=ConnectionLimits(idle_seconds=1)) as site:
        for _ in range(2):
            await site.ask(get())
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(get())
            async with asyncio.timeout(PATIENCE):
                answer = await reader.read()
            writer.close()
            assert DATE.sub(b"", answer).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
async def test_a_connection_in_use_is_not_closed() -> None:
    async with serving(limits=ConnectionLimits(idle_seconds=1)) as site:
        await site.ask(get())
        many = await site.ask(*[get()] * 1_200)
    assert many.count(b"HTTP/1.1 200 OK") == 1_201


async def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_MAX_REQUESTS", 3)
    async with serving() as site:
        for number in range(9):
            for _ in range(3):
                await site.ask(get(f"/config/orders/dev?{number}"))
        assert len(site.current()._known) == 3
        assert (await site.ask(get("/config/orders/dev?0")))[:12] == b"HTTP/1.1 200"
