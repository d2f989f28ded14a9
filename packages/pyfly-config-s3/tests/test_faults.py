"""What happens between the backend and the store: nothing wrong is served, everything ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigKey,
    JsonValue,
)
from pyfly.config_s3 import S3ConfigBackend, S3Location
from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import ABSENT, ANY

pytestmark = pytest.mark.anyio

PROPERTIES: dict[str, JsonValue] = {"db": {"url": "postgres://db/orders", "pool": 30000}}
SECONDS = 6.0
SLACK = 3
"""A busy machine takes longer; what hangs takes for ever."""

Fault = Callable[[Any], bool]


@pytest.fixture
def where(moto: str, location: Callable[..., S3Location]) -> S3Location:
    return location(moto, max_staleness=0.0)


@pytest.fixture
async def direct(where: S3Location) -> AsyncIterator[S3ConfigBackend]:
    """The store without anything in between; it holds one bundle."""
    backend = S3ConfigBackend(where)
    await backend.save(ConfigSource(application="orders", profile="prod", properties=PROPERTIES))
    yield backend
    await backend.aclose()


@pytest.fixture
async def backend(
    proxy: Any, where: S3Location, direct: S3ConfigBackend
) -> AsyncIterator[S3ConfigBackend]:
    """The same store behind the proxy."""
    backend = S3ConfigBackend(replace(where, endpoint_url=proxy.url))
    yield backend
    proxy.released.set()
    await backend.aclose()


def reads_object(exchange: Any) -> bool:
    return exchange.command == "GET" and "list-type" not in exchange.path


def of_object(fault: Fault) -> Fault:
    return lambda exchange: reads_object(exchange) and fault(exchange)


def black_hole(exchange: Any) -> bool:
    exchange.released.wait()
    exchange.close_connection = True
    return True


def drip(exchange: Any) -> bool:
    exchange.send(exchange.status, exchange.answered, b"")
    for position in range(len(exchange.body)):
        if exchange.released.wait(1.0):
            break
        exchange.wfile.write(exchange.body[position : position + 1])
    exchange.close_connection = True
    return True


def cut_with_length(exchange: Any) -> bool:
    exchange.send(exchange.status, exchange.answered, exchange.body[: len(exchange.body) // 2])
    exchange.close_connection = True
    return True


def without(exchange: Any, *names: str) -> dict[str, str]:
    return {n: v for n, v in exchange.answered.items() if not n.lower().startswith(names)}


def cut_without_length(exchange: Any) -> bool:
    half = exchange.body[: len(exchange.body) // 2]
    exchange.send(exchange.status, without(exchange, "content-length"), half)
    exchange.close_connection = True
    return True


def cut_with_nothing_to_tell(exchange: Any) -> bool:
    half = exchange.body[: len(exchange.body) // 2]
    headers = without(exchange, "content-length", "x-amz") | {"ETag": '"of-parts-2"'}
    exchange.send(exchange.status, headers, half)
    exchange.close_connection = True
    return True


def flipped(exchange: Any, *left_out: str) -> bool:
    body = exchange.body.replace(b"30000", b"30001")
    assert body != exchange.body
    exchange.send(exchange.status, without(exchange, *left_out), body)
    return True


def error_page(status: int) -> Fault:
    def answer(exchange: Any) -> bool:
        body = b"<html><body>hunter2 marker</body></html>"
        headers = {"Content-Type": "text/html", "Content-Length": str(len(body))}
        exchange.send(status, headers, body)
        return True

    return answer


def an_error_in_a_success(exchange: Any) -> bool:
    body = b"<Error><Code>InternalError</Code></Error>"
    exchange.send(200, exchange.answered | {"content-length": str(len(body))}, body)
    return True


ON_ANSWER = {
    "drip": (drip, BackendUnavailableError),
    "cut": (cut_with_length, BackendUnavailableError),
    "cut-closed": (cut_without_length, BackendUnavailableError),
    "cut-untold": (cut_with_nothing_to_tell, BackendUnavailableError),
    "flipped-checksum": (flipped, BackendUnavailableError),
    "flipped-digest": (lambda e: flipped(e, "x-amz-checksum"), BackendUnavailableError),
    "flipped-etag": (lambda e: flipped(e, "x-amz"), BackendUnavailableError),
    "page-as-object": (error_page(200), BackendUnavailableError),
    "error-as-object": (an_error_in_a_success, BackendUnavailableError),
    "not-found-page": (error_page(404), BackendError),
}
ON_REQUEST = {
    "slow-down": (lambda e: e.refuse(503, "SlowDown"), BackendUnavailableError),
    "internal": (lambda e: e.refuse(500, "InternalError"), BackendUnavailableError),
    "black-hole": (black_hole, BackendUnavailableError),
    "expired": (lambda e: e.refuse(400, "ExpiredToken"), BackendAccessDeniedError),
    "clock": (lambda e: e.refuse(403, "RequestTimeTooSkewed"), BackendAccessDeniedError),
    "denied": (lambda e: e.refuse(403, "AccessDenied"), BackendAccessDeniedError),
    "no-bucket": (lambda e: e.refuse(404, "NoSuchBucket"), BackendUnavailableError),
    "page-403": (error_page(403), BackendAccessDeniedError),
    "page-502": (error_page(502), BackendUnavailableError),
}


async def fails(backend: S3ConfigBackend, kind: type[Exception]) -> str:
    """Fetch, which must fail in this way and in time; return what is said."""
    began = time.monotonic()
    with pytest.raises(kind) as failure:
        await backend.fetch("orders", "prod")
    seconds = time.monotonic() - began
    print(f"failed after {seconds:.1f} s")  # noqa: T201 - shown when it took too long
    assert seconds < SECONDS * SLACK
    assert "marker" not in str(failure.value)
    assert "postgres" not in repr(failure.value)
    return str(failure.value)


@pytest.mark.parametrize("name", ON_ANSWER)
async def test_a_damaged_object_is_never_served(
    proxy: Any, backend: S3ConfigBackend, name: str
) -> None:
    fault, kind = ON_ANSWER[name]
    proxy.answer = of_object(fault)
    said = await fails(backend, kind)
    assert "main/orders-prod.yaml" in said or "in time" in said
    proxy.answer = lambda exchange: False
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == PROPERTIES


@pytest.mark.parametrize("name", ON_REQUEST)
async def test_a_failure_of_the_store_is_told_in_time(
    proxy: Any, backend: S3ConfigBackend, name: str
) -> None:
    fault, kind = ON_REQUEST[name]
    proxy.request = fault
    checked, _ = await asyncio.gather(
        asyncio.gather(backend.check(), return_exceptions=True), fails(backend, kind)
    )
    assert isinstance(checked[0], kind)
    proxy.request = of_object(fault)
    await fails(backend, kind)


@pytest.mark.parametrize(
    "fault", [error_page(200), cut_without_length, cut_with_length], ids=["page", "cut", "short"]
)
async def test_a_damaged_listing_is_no_empty_store(
    proxy: Any, backend: S3ConfigBackend, fault: Fault
) -> None:
    proxy.answer = lambda exchange: "list-type" in exchange.path and fault(exchange)
    for call in (backend.list, lambda: backend.changes_since(None), backend.labels, backend.check):
        with pytest.raises(BackendUnavailableError):
            await call()
    await fails(backend, BackendUnavailableError)


@pytest.mark.parametrize("fault", [cut_with_length, cut_without_length, flipped])
async def test_an_object_damaged_once_is_read_again(
    proxy: Any, backend: S3ConfigBackend, fault: Fault
) -> None:
    damaged: list[str] = []

    def once(exchange: Any) -> bool:
        if damaged or not reads_object(exchange):
            return False
        damaged.append(exchange.path)
        return fault(exchange)

    proxy.answer = once
    found = await backend.fetch("orders", "prod")
    assert damaged
    assert found is not None
    assert found.properties == PROPERTIES


async def test_an_object_of_another_tool_is_verified_by_its_tag(
    proxy: Any,
    backend: S3ConfigBackend,
    where: S3Location,
    moto: str,
    connect: Callable[[str], Any],
) -> None:
    key = f"{where.prefix}/main/billing-prod.yaml"
    body = b"limit: 30000\n"
    connect(moto).put_object(Bucket=where.bucket, Key=key, Body=body)
    found = await backend.fetch("billing", "prod")
    assert found is not None
    assert found.properties == {"limit": 30000}
    proxy.answer = of_object(lambda exchange: flipped(exchange, "x-amz"))
    fresh = S3ConfigBackend(replace(where, endpoint_url=proxy.url))  # it has nothing to compare
    with pytest.raises(BackendUnavailableError, match="damaged twice"):
        await fresh.fetch("billing", "prod")
    await fresh.aclose()


async def test_an_object_that_did_not_change_is_neither_sent_nor_parsed_again(
    proxy: Any, backend: S3ConfigBackend, direct: S3ConfigBackend
) -> None:
    sent: list[tuple[int, int]] = []

    def note(exchange: Any) -> bool:
        if reads_object(exchange):
            sent.append((exchange.status, len(exchange.body)))
        return False

    proxy.answer = note
    first = await backend.fetch("orders", "prod")
    again = await backend.fetch("orders", "prod")
    assert first is not None
    assert again == first
    assert [status for status, _ in sent] == [200, 304]
    assert sent[1][1] == 0
    await direct.save(ConfigSource(application="orders", profile="prod", properties={"n": 1}))
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"n": 1}
    assert sent[2][0] == 200


async def test_a_store_that_ignores_or_refuses_the_condition_of_a_read_is_read(
    proxy: Any, backend: S3ConfigBackend
) -> None:
    def ignore(exchange: Any) -> bool:
        del exchange.headers["If-None-Match"]
        return False

    def refuse(exchange: Any) -> bool:
        return "If-None-Match" in exchange.headers and exchange.refuse(501, "NotImplemented")

    for behaviour in (ignore, refuse):
        proxy.request = behaviour
        for _ in range(2):
            found = await backend.fetch("orders", "prod")
            assert found is not None
            assert found.properties == PROPERTIES


async def test_metadata_that_another_tool_kept_does_not_condemn_its_object(
    direct: S3ConfigBackend, where: S3Location, moto: str, connect: Callable[[str], Any]
) -> None:
    client = connect(moto)
    place = {"Bucket": where.bucket, "Key": f"{where.prefix}/main/orders-prod.yaml"}
    kept = client.head_object(**place)["Metadata"]
    assert kept["pyfly-sha256"]
    client.put_object(**place, Body=b"edited: true\n", Metadata=kept)
    found = await direct.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"edited": True}


async def test_a_stuck_store_holds_up_nobody_else(proxy: Any, backend: S3ConfigBackend) -> None:
    """More calls than threads: all end in time, and other threads and the loop go on."""
    proxy.request = black_hole
    began = time.monotonic()
    stuck = [asyncio.ensure_future(backend.fetch("orders", "prod")) for _ in range(50)]
    turns = 0
    while not any(task.done() for task in stuck):
        await asyncio.to_thread(time.sleep, 0.01)  # the threads that files are read in
        turns += 1
    assert turns > 50
    outcomes = await asyncio.gather(*stuck, return_exceptions=True)
    seconds = time.monotonic() - began
    print(f"ended after {seconds:.1f} s, {turns} other turns")  # noqa: T201 - the same
    assert seconds < SECONDS * SLACK
    assert {type(outcome) for outcome in outcomes} == {BackendUnavailableError}
    proxy.request = lambda exchange: False  # those that are stuck remain so
    found = await backend.fetch("orders", "prod")
    assert found is not None


async def test_a_save_whose_answer_is_lost_is_known_as_its_own(
    proxy: Any, backend: S3ConfigBackend, direct: S3ConfigBackend
) -> None:
    """The repetition fails its condition, because the first attempt was stored."""
    lost: list[str] = []

    def lose(exchange: Any) -> bool:
        if exchange.command != "PUT" or "probe" in exchange.path or lost:
            return False
        lost.append(exchange.path)
        exchange.close_connection = True
        return True

    proxy.answer = lose
    source = ConfigSource(application="billing", profile="prod", properties={"n": 1})
    version = await backend.commit(source, expected=ABSENT)
    assert lost
    found = await direct.fetch("billing", "prod")
    assert found is not None
    assert found.version == version


async def test_a_conflict_between_two_requests_is_tried_again(
    proxy: Any, backend: S3ConfigBackend, direct: S3ConfigBackend
) -> None:
    refused: list[str] = []

    def collide(exchange: Any) -> bool:
        if exchange.command != "PUT" or "probe" in exchange.path or len(refused) > 1:
            return False
        refused.append(exchange.path)
        return exchange.refuse(409, "ConditionalRequestConflict")

    proxy.request = collide
    found = await direct.fetch("orders", "prod")
    assert found is not None
    assert found.version is not None
    source = ConfigSource(application="orders", profile="prod", properties={"n": 1})
    await backend.commit(source, expected=found.version)
    assert len(refused) == 2


async def test_a_shadowed_object_that_cannot_be_removed_does_not_fail_the_save(
    proxy: Any,
    backend: S3ConfigBackend,
    where: S3Location,
    moto: str,
    connect: Callable[[str], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = f"{where.prefix}/main/orders-prod.json"
    connect(moto).put_object(Bucket=where.bucket, Key=key, Body=b"{}")
    proxy.request = lambda e: e.command == "DELETE" and e.refuse(403, "AccessDenied")
    source = ConfigSource(application="orders", profile="prod", properties={"n": 1})
    await backend.commit(source, expected=ANY)
    assert "main/orders-prod.json is shadowed and stays" in caplog.text
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"n": 1}


async def test_six_keys_cost_one_request_each_and_what_is_not_there_none(
    proxy: Any, where: S3Location, direct: S3ConfigBackend
) -> None:
    profiles = ("eu", "prod", "default")
    keys = [
        ConfigKey(application=a, profile=p) for p in profiles for a in ("orders", "application")
    ]
    for key in keys[:5]:
        await direct.save(
            ConfigSource(application=key.application, profile=key.profile, properties={"a": 1})
        )
    backend = S3ConfigBackend(replace(where, endpoint_url=proxy.url, max_staleness=600.0))
    await backend.fetch_many(keys)
    assert len([seen for seen in proxy.seen if "list-type" in seen]) == 2
    assert len(proxy.seen) == 2 + 5
    proxy.seen.clear()
    found = await backend.fetch_many(keys)
    await backend.aclose()
    assert [source is not None for source in found] == [True] * 5 + [False]
    assert len(proxy.seen) == 5
