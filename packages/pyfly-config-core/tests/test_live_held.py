"""Requests that are held, and answered, from their head alone; and the ends of their waits."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from live_stores import SELDOM, Application, ControlledStore, Reply, ask, bundle, soon

from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    HttpRequest,
    InMemoryConfigBackend,
    LiveOptions,
    Principal,
    Right,
    Rule,
)
from pyfly.config_server.http.asgi import AT_END
from pyfly.config_server.http.authentication import unauthorized
from pyfly.config_server.live.deadlines import Deadlines, Waiter

pytestmark = pytest.mark.anyio

ORDERS = "/config/orders/prod"


@pytest.fixture
def store() -> ControlledStore:
    return ControlledStore()  # without hints: a look would mark the answer once more


@pytest.fixture
async def app(store: ControlledStore) -> AsyncIterator[Application]:
    app = Application(store)
    await app.server.bundles.save(bundle(n=1))
    yield app
    await app.aclose()


async def warm(app: Application, target: str = ORDERS) -> str:
    """Return the entity tag of a document that is answered from memory now."""
    await app.get(target)
    return (await app.get(target)).tag


def handled(app: Application) -> list[HttpRequest]:
    """Return the list of what the controller is asked from now on."""
    requests: list[HttpRequest] = []
    handle = app.app._handle

    async def noted(request: HttpRequest) -> Any:
        requests.append(request)
        return await handle(request)

    app.app._handle = noted
    return requests


# --- without the controller -------------------------------------------------------------------


async def test_a_change_is_told_from_memory(app: Application) -> None:
    tag = await warm(app)
    requests = handled(app)
    held = [app.hold(ORDERS, tag, wait=45) for _ in range(120)]
    await app.held(120)
    await app.server.bundles.save(bundle(n=2))
    replies = await soon(asyncio.gather(*held))
    assert [reply.sources for reply in replies] == [[{"n": 2}]] * 120
    assert {reply.headers[b"preference-applied"] for reply in replies} == {b"wait=45"}
    assert requests == []
    assert {reply.tag for reply in replies} == {(await app.get(ORDERS)).tag}
    assert sum(app.live.counters.wakes.counts) == 120
    assert app.live.counters.watchers == 0


async def test_a_request_is_held_while_its_document_is_composed_anew(
    app: Application, store: ControlledStore
) -> None:
    tag = await warm(app)
    requests = handled(app)
    gate = store.hold("fetch")
    held = [app.hold(ORDERS, tag)]
    await app.held()
    await store.wrapped.save(bundle(n=2))
    await app.look()
    await soon(gate.reached.wait())
    held += [app.hold(ORDERS, tag) for _ in range(10)]
    await app.held(11)
    store.release("fetch")
    assert [reply.sources for reply in await soon(asyncio.gather(*held))] == [[{"n": 2}]] * 11
    assert requests == []


async def test_a_document_that_is_out_of_date_is_composed_for_the_first_who_waits(
    app: Application, store: ControlledStore
) -> None:
    tag = await warm(app)
    await store.wrapped.save(bundle(n=2))
    await app.look()
    assert (await soon(app.hold(ORDERS, tag))).sources == [{"n": 2}]


async def test_the_next_reader_has_the_new_document_from_memory(app: Application) -> None:
    tag = await warm(app)
    held = app.hold(ORDERS, tag)
    await app.held()
    await app.server.bundles.save(bundle(n=2))
    await soon(held)
    requests = handled(app)
    assert (await app.get(ORDERS)).sources == [{"n": 2}]
    assert requests == []


@pytest.mark.slow
async def test_the_end_of_a_wait_is_told_from_memory(app: Application) -> None:
    tag = await warm(app)
    requests = handled(app)
    reply = await soon(app.hold(ORDERS, tag, wait=1))
    assert (reply.status, reply.tag, reply.body) == (304, tag, b"")
    assert reply.headers[b"preference-applied"] == b"wait=1"
    assert requests == []


async def test_released_requests_end_their_connections(app: Application) -> None:
    held = app.hold(ORDERS, await warm(app))
    await app.held()
    app.app.release(ends_connections=True)
    reply = await soon(held)
    assert reply.status == 304
    assert reply.headers[b"connection"] == b"close"


@pytest.mark.parametrize(
    "headers",
    [
        {"prefer": "wait=0"},
        {"prefer": "wait=300, respond-async"},
        {"prefer": "handling=lenient"},
        {"prefer": "wait=300", "if_none_match": '"another"'},
        {"prefer": "wait=300"},
    ],
)
async def test_what_is_not_held(app: Application, headers: dict[str, str]) -> None:
    tag = await warm(app)
    if "respond-async" in headers["prefer"]:  # held, but not from its head
        held = asyncio.create_task(ask(app.app, ORDERS, if_none_match=tag, **headers))
        await app.held()
        await app.server.bundles.save(bundle(n=2))
        assert (await soon(held)).headers[b"preference-applied"] == b"wait=300"
        return
    reply = await soon(ask(app.app, ORDERS, **headers))
    assert reply.status == 200
    granted = headers["prefer"] == "wait=300"
    assert (b"preference-applied" in reply.headers) is granted


async def test_a_limit_is_told_by_the_controller() -> None:
    app = Application(
        InMemoryConfigBackend(), live=LiveOptions(max_staleness=1_000, max_watchers=1)
    )
    await app.server.bundles.save(bundle(n=1))
    tag = await warm(app)
    held = app.hold(ORDERS, tag)
    await app.held()
    refused = await soon(app.hold(ORDERS, tag))
    assert refused.status == 503
    assert app.live.counters.rejected_watchers == 1
    await app.aclose()
    assert (await soon(held)).status == 304


class Server:
    """An ASGI server with the extension `AT_END`."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.told: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"] = {AT_END: self.told.append}
        await self._app(scope, receive, send)


async def test_a_server_that_tells_the_end_needs_no_task(app: Application) -> None:
    tag, server = await warm(app), Server(app.app)
    headers = {"if_none_match": tag, "prefer": "wait=300"}
    left = asyncio.create_task(ask(server, ORDERS, **headers))
    await app.held()
    assert app.live.watching._receivers == set()
    (leave,) = server.told
    leave()
    await soon(left)
    stays = asyncio.create_task(ask(server, ORDERS, **headers))
    await app.held()
    await app.server.bundles.save(bundle(n=2))
    assert (await soon(stays)).sources == [{"n": 2}]
    assert [one is None for one in server.told] == [False, True, False, True]
    assert app.live.watching.count == 0


async def test_a_held_request_with_a_body_is_read(app: Application) -> None:
    """Its end would not be noticed otherwise."""
    tag, server = await warm(app), Server(app.app)
    headers = {"if_none_match": tag, "prefer": "wait=300", "content_length": "5"}
    held = asyncio.create_task(ask(server, ORDERS, **headers))
    await app.held()
    assert len(app.live.watching._receivers) == 1
    await app.server.bundles.save(bundle(n=2))
    assert (await soon(held)).sources == [{"n": 2}]
    assert server.told == []


# --- what a held request may have -------------------------------------------------------------


class Passes:
    """Grants the rights that a test sets."""

    scheme = "bearer"

    def __init__(self) -> None:
        self.rights: frozenset[Right] | None = frozenset({Right.READ})

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        del authorization
        if self.rights is None:
            return None
        return Principal(name="p", rules=tuple(Rule.everything({right}) for right in self.rights))

    async def authenticate(self, request: HttpRequest) -> Principal:
        principal = self.principal_of(request.header(b"authorization"))
        if principal is None:
            raise unauthorized(b"Bearer")
        return principal


@pytest.mark.parametrize(("rights", "status"), [(frozenset[Right](), 403), (None, 401)])
async def test_the_right_is_checked_again_at_the_end(
    rights: frozenset[Right] | None, status: int
) -> None:
    passes, server = Passes(), ConfigServer(InMemoryConfigBackend())
    await server.bundles.save(bundle(n=1))
    app = ConfigServerApp(server, auth=passes, live=SELDOM)
    await ask(app, ORDERS)
    tag = (await ask(app, ORDERS)).tag
    headers = {"if_none_match": tag, "prefer": "wait=300"}
    held = asyncio.create_task(ask(app, ORDERS, **headers))
    await asyncio.sleep(0)
    assert app.live is not None
    assert app.live.watching.count == 1
    passes.rights = rights
    await server.bundles.save(bundle(n=2))
    reply: Reply = await soon(held)
    assert reply.status == status
    assert b"n" not in reply.body.partition(b"propertySources")[2]
    await app.aclose()


# --- the ends of waits ------------------------------------------------------------------------


def waiters(number: int) -> list[Waiter]:
    loop = asyncio.get_running_loop()
    return [loop.create_future() for _ in range(number)]


async def test_waits_end_in_the_order_of_their_times() -> None:
    deadlines, ended = Deadlines(), list[int]()
    some = waiters(4)
    for number, seconds in ((3, 0.04), (1, 0.02), (2, 0.03), (0, 0.01)):
        some[number].add_done_callback(lambda _, number=number: ended.append(number))
        deadlines.add(some[number], seconds)
    began = time.monotonic()
    await soon(asyncio.gather(*some))
    await asyncio.sleep(0)
    assert time.monotonic() - began >= 0.039
    assert ended == [0, 1, 2, 3]


async def test_a_wait_that_has_ended_before_is_passed_over() -> None:
    deadlines = Deadlines()
    first, second = waiters(2)
    deadlines.add(first, 0.01)
    deadlines.add(second, 0.02)
    first.set_result(None)
    await soon(second)
    assert len(deadlines) == 0


async def test_ended_waits_do_not_pile_up() -> None:
    deadlines = Deadlines()
    held = waiters(50)
    for one in held:
        deadlines.add(one, 300)
    for _ in range(10_000):
        (one,) = waiters(1)
        deadlines.add(one, 300)
        one.set_result(None)
    assert len(deadlines) <= 2_100
    deadlines.clear()
    assert len(deadlines) == 0
    assert not any(one.done() for one in held)


async def test_one_timer_serves_all() -> None:
    loop, deadlines = asyncio.get_running_loop(), Deadlines()
    made: list[asyncio.TimerHandle] = []
    later = loop.call_later

    def call_later(*arguments: Any) -> asyncio.TimerHandle:
        made.append(later(*arguments))
        return made[-1]

    loop.call_later = call_later  # type: ignore[method-assign] # counts the timers
    try:
        for number, one in enumerate(waiters(100)):
            deadlines.add(one, 300 - number % 10)
        assert sum(not timer.cancelled() for timer in made) == 1
        deadlines.clear()
        assert all(timer.cancelled() for timer in made)
    finally:
        del loop.call_later
