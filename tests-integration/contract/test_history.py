"""The history of a bundle over HTTP: in pages, whatever its length."""

import base64
from typing import Any

import pytest

from pyfly.config_server import ConfigSource, InMemoryConfigBackend, SharedCredential
from pyfly.config_server.storage import ANY

pytestmark = pytest.mark.anyio

BUNDLE = "/config/_bundles/orders/prod/main"
HISTORY = f"{BUNDLE}/history"


@pytest.fixture
async def made(anyio_backend: str, memory: InMemoryConfigBackend) -> list[str]:
    """The versions of a bundle that was stored 101 times, newest first."""
    source = ConfigSource(application="orders", profile="prod", properties={})
    versions = [await memory.commit(source, expected=ANY, message=f"{n}") for n in range(101)]
    return versions[::-1]


@pytest.fixture
def memory() -> InMemoryConfigBackend:
    return InMemoryConfigBackend()


@pytest.fixture
def send(serve: Any, memory: InMemoryConfigBackend) -> Any:
    ask = serve(memory, auth=SharedCredential.bearer("sesame"))

    async def send(method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": "Bearer sesame", **more.pop("headers", {})}
        return await ask(path, method=method, headers=headers, **more)

    return send


async def pages(send: Any, query: str) -> list[list[str]]:
    """Return the versions of each page, following `next` to its end."""
    found: list[list[str]] = []
    cursor = ""
    while not found or cursor:
        path = f"{HISTORY}?{query}" + (f"&cursor={cursor}" if cursor else "")
        answer = (await send("GET", path)).json
        found.append([row["version"] for row in answer["versions"]])
        cursor = answer["next"]
    return found


async def test_a_history_comes_in_pages_of_a_hundred(send: Any, made: list[str]) -> None:
    first = (await send("GET", HISTORY)).json
    assert [row["version"] for row in first["versions"]] == made[:100]
    second = (await send("GET", f"{HISTORY}?cursor={first['next']}")).json
    assert ([row["version"] for row in second["versions"]], second["next"]) == (made[100:], None)


@pytest.mark.parametrize("limit", [7, 100, 101, 1000])
async def test_pages_of_every_size_hold_every_version_once(
    send: Any, made: list[str], limit: int
) -> None:
    found = await pages(send, f"limit={limit}")
    assert [version for page in found for version in page] == made
    assert [len(page) for page in found[:-1]] == [limit] * (101 // limit - (101 % limit == 0))


async def test_a_page_goes_on_where_it_ended_though_more_was_stored(
    send: Any, made: list[str]
) -> None:
    first = (await send("GET", f"{HISTORY}?limit=50")).json
    headers = {"If-Match": "*", "Content-Type": "application/json"}
    assert (await send("PUT", BUNDLE, headers=headers, body=b'{"a": 1}')).status == 200
    second = (await send("GET", f"{HISTORY}?limit=50&cursor={first['next']}")).json
    assert [row["version"] for row in second["versions"]] == made[50:100]


def cursor(text: str) -> str:
    return "cursor=" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=" + "9" * 400,
        "cursor=x",
        "cursor=",
        "cursor=_w",
        cursor("1"),
        cursor("main\norders\nprod"),
        "label=main",
        "limit=1&limit=2",
        "limit=%ff",
    ],
)
async def test_a_query_that_means_nothing_is_refused(
    send: Any, made: list[str], query: str
) -> None:
    answer = await send("GET", f"{HISTORY}?{query}")
    assert (answer.status, answer.json["code"]) == (400, "invalid-query")


async def test_a_cursor_of_another_history_leads_nowhere(send: Any, made: list[str]) -> None:
    following = (await send("GET", f"{HISTORY}?limit=1")).json["next"]
    for path in ("/config/_bundles/orders/dev/main/history", "/config/_bundles/x/y/z/history"):
        answer = await send("GET", f"{path}?cursor={following}")
        assert (answer.status, answer.json["code"]) == (404, "not-found")
        assert answer.json["detail"] == f"version '{made[0]}' does not exist"
    answer = await send("GET", f"{HISTORY}?{cursor('version' + chr(10) + 'x')}")
    assert answer.status == 404


async def test_a_history_too_large_for_one_answer_can_be_read_in_smaller_pages(
    send: Any, memory: InMemoryConfigBackend
) -> None:
    source = ConfigSource(application="orders", profile="prod", properties={})
    for _ in range(9):
        await memory.commit(source, expected=ANY, message="x" * 1_000_000)
    answer = await send("GET", HISTORY)
    assert (answer.status, answer.json["code"]) == (500, "broken-bundle")
    assert "ask for fewer versions with ?limit=" in answer.json["detail"]
    assert len(await pages(send, "limit=5")) == 2
