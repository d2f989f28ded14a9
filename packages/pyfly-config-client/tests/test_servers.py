"""Whom a client asks, how often, and in which order."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from pyfly.config_client import ServerRejectedError, ServerUnreachableError
from pyfly.config_client._fetch import backoff, retry_after

pytestmark = pytest.mark.anyio

Fetch = Callable[..., Any]


# --- retries --------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_server_that_comes_back_within_the_deadline_is_used(
    server: Any, fetch: Fetch, document: Any
) -> None:
    busy = server.message(b"", "Retry-After: 0", status="503 Busy")
    torn = server.json(document)[:-5]
    server.turns = [busy, torn, b"", server.message(b"", status="429 Slow down")]
    server.answer_json(document)
    assert len(await fetch(attempts=None, timeout=60)) == 2
    assert len(server.requests) == 5


async def test_with_a_snapshot_at_hand_nobody_waits_for_long(
    server: Any, fetch: Fetch, document: Any, kept: Any
) -> None:
    server.answer_json(document)
    await fetch(**kept)
    server.requests.clear()
    server.answer_json({}, status="500 Oops")
    assert (await fetch(**kept, attempts=None, timeout=600)).from_snapshot
    assert len(server.requests) == 3


async def test_without_one_the_deadline_decides(free_url: str, fetch: Fetch) -> None:
    began = time.monotonic()
    with pytest.raises(ServerUnreachableError, match=r"tried [0-9]+ times: "):
        await fetch(server_url=free_url, attempts=None, timeout=0.8)
    assert time.monotonic() - began < 10


async def test_a_server_that_asks_for_more_time_than_there_is_ends_it(
    server: Any, fetch: Fetch
) -> None:
    server.answer_json({}, "Retry-After: 999999999", status="503 Busy")
    with pytest.raises(ServerRejectedError):
        await fetch(attempts=None, timeout=60)
    assert len(server.requests) == 1


async def test_waiting_is_jittered_doubles_and_is_bounded() -> None:
    assert {backoff(50, first=0.1, most=2.0) <= 2.0 for _ in range(100)} == {True}
    assert max(backoff(3, first=0.1, most=2.0) for _ in range(1000)) > 0.4
    assert min(backoff(3, first=0.1, most=2.0) for _ in range(1000)) < 0.4
    assert [retry_after({"retry-after": text}) for text in ("7", "", "-1", "x", "Wed, 1 Jan")] == [
        7.0,
        0.0,
        0.0,
        0.0,
        0.0,
    ]


# --- several servers and labels -------------------------------------------------------


@pytest.mark.case(101)
@pytest.mark.parametrize(
    ("strategy", "succeeds"), [("always", True), ("connection-timeout-only", False)]
)
async def test_after_an_error_the_strategy_decides_whether_the_next_server_is_asked(
    server: Any, another_server: Any, fetch: Fetch, document: Any, strategy: str, succeeds: bool
) -> None:
    server.answer_json({}, status="500 Internal Server Error")
    another_server.answer_json(document)
    urls = [server.url, another_server.url]
    if succeeds:
        found = await fetch(server_url=urls, strategy=strategy)
        assert found.place.startswith(another_server.url)
    else:
        with pytest.raises(ServerRejectedError):
            await fetch(server_url=urls, strategy=strategy)
    assert len(another_server.requests) == int(succeeds)


@pytest.mark.case(101)
@pytest.mark.parametrize("strategy", ["always", "connection-timeout-only"])
async def test_after_a_refused_connection_the_next_server_is_asked_in_any_case(
    free_url: str, another_server: Any, fetch: Fetch, document: Any, strategy: str
) -> None:
    another_server.answer_json(document)
    urls = [free_url, another_server.url]
    assert len(await fetch(server_url=urls, strategy=strategy)) == 2


async def test_every_server_gets_its_own_credential(
    server: Any, another_server: Any, fetch: Fetch, document: Any
) -> None:
    server.answer_json({}, status="500 Oops")
    another_server.answer_json(document)
    urls = [one.url.replace("://", f"://u:{one.url[-5:]}@") for one in (server, another_server)]
    await fetch(server_url=urls)
    sent = [
        one.requests[0].lower().partition("authorization: ")[2] for one in (server, another_server)
    ]
    assert sent[0].splitlines()[0] != sent[1].splitlines()[0]


@pytest.mark.slow
async def test_a_hanging_server_leaves_time_for_the_next(
    server: Any, another_server: Any, fetch: Fetch, document: Any
) -> None:
    server.chunks = [b"H"] * 600
    server.pause = 0.1
    another_server.answer_json(document)
    found = await fetch(server_url=[server.url, another_server.url], timeout=4)
    assert found.place.startswith(another_server.url)


@pytest.mark.case(102)
async def test_labels_are_tried_in_order_until_one_exists(
    server: Any, fetch: Fetch, document: Any
) -> None:
    server.turns = [server.message(b"", status="404 Not Found")]
    server.answer_json(document | {"label": "main"})
    found = await fetch(label=["nolabel", "main"])
    assert found.label == "main"
    assert [request.split()[1] for request in server.requests] == [
        "/config/orders/prod/nolabel",
        "/config/orders/prod/main",
    ]


async def test_a_label_is_not_skipped_because_its_server_is_in_trouble(
    server: Any, fetch: Fetch, document: Any
) -> None:
    server.turns = [server.message(b"", status="500 Oops")]
    server.answer_json(document)
    with pytest.raises(ServerRejectedError):
        await fetch(label=["feature", "main"])
    assert len(server.requests) == 1


async def test_labels_that_all_do_not_exist_are_an_error_that_names_them(
    server: Any, fetch: Fetch
) -> None:
    server.answer(b"", status="404 Not Found")
    with pytest.raises(ServerRejectedError, match=r"prod/b answered 404") as caught:
        await fetch(label=["a", "b"])
    assert "tried http" in str(caught.value)
    assert "/prod/a answered 404" in str(caught.value)
