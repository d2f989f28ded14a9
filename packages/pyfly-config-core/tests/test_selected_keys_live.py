"""Selected keys in the live layer: what is kept, and what ends a wait."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from pyfly.config_server import (
    ConfigServer,
    Controller,
    HttpRequest,
    HttpResponse,
    InMemoryConfigBackend,
)
from pyfly.config_server.live import LiveDocuments

pytestmark = pytest.mark.anyio

DEADLINE = 30
TARGETS = ["/config/a/p?keys=db.*", "/config/a-p.json?keys=db.*"]

Ask = Callable[..., Coroutine[Any, Any, HttpResponse]]


@pytest.fixture
async def live() -> AsyncIterator[LiveDocuments]:
    server = ConfigServer(InMemoryConfigBackend())
    await server.save("a", "p", {"db.url": "${other}", "db.size": 1, "other": 1, "more": 1})
    live = LiveDocuments(server)
    yield live
    await live.aclose()
    await server.aclose()


@pytest.fixture
def ask(live: LiveDocuments) -> Ask:
    controller = Controller(live, auth=None)

    async def ask(target: str, **headers: str) -> HttpResponse:
        path, _, query = target.encode().partition(b"?")
        pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
        return await controller.handle(
            HttpRequest(method="GET", raw_path=path, query=query, headers=pairs)
        )

    return ask


def tag(answer: HttpResponse) -> str:
    return dict(answer.headers)[b"etag"].decode()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - the server tells nobody when it holds a request
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("target", TARGETS)
async def test_a_wait_goes_on_while_only_other_keys_change(
    live: LiveDocuments, ask: Ask, target: str
) -> None:
    first = await ask(target)
    held = asyncio.create_task(ask(target, if_none_match=tag(first), prefer="wait=300"))
    await until(lambda: live.watching.count == 1)
    tree: dict[str, Any] = {"db.url": "${other}", "db.size": 1, "other": 1}
    await live.server.save("a", "p", {**tree, "more": 2})
    fresh = await ask(target, cache_control="no-cache")
    assert (fresh.body, tag(fresh)) == (first.body, tag(first))
    assert not held.done()
    await live.server.save("a", "p", {**tree, "db.size": 3})
    async with asyncio.timeout(DEADLINE):
        changed = await held
    assert changed.status == 200
    assert b'size":3' in changed.body


async def test_a_wait_for_a_flattened_format_ends_when_a_placeholder_changes(
    live: LiveDocuments, ask: Ask
) -> None:
    target = "/config/a-p.properties?keys=db.url"
    first = await ask(target)
    assert first.body == b"db.url: 1"
    held = asyncio.create_task(ask(target, if_none_match=tag(first), prefer="wait=300"))
    await until(lambda: live.watching.count == 1)
    await live.server.save("a", "p", {"db.url": "${other}", "other": 2})
    async with asyncio.timeout(DEADLINE):
        assert (await held).body == b"db.url: 2"


async def test_spellings_of_one_selection_share_one_answer(live: LiveDocuments, ask: Ask) -> None:
    answers = [await ask(f"/config/a/p?keys={one}") for one in ("db,more", "MORE,d-b,db")]
    assert answers[0].body == answers[1].body
    entries = {id(answer.reusable.entry) for answer in answers if answer.reusable is not None}
    assert len(entries) == 1
