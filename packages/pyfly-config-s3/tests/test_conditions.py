"""What stores make of conditions: those that honour them, ignore them, refuse them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from bucket_objects import ORDERS, orders
from bucket_writers import race, stored

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendUnavailableError,
    ConfigConflictError,
    UnsupportedOperationError,
)
from pyfly.config_s3 import S3ConfigBackend, S3Location
from pyfly.config_s3._conditions import ConditionSupport
from pyfly.config_server.storage import ABSENT, ANY

pytestmark = pytest.mark.anyio

EVERYTHING = ConditionSupport(creates=True, replaces=True, deletes=True, quoted=True)

NOTHING = ConditionSupport(creates=False, replaces=False, deletes=False, quoted=True)


def ignoring(exchange: Any) -> bool:
    """Have the store not see the conditions."""
    for name in ("If-Match", "If-None-Match"):
        del exchange.headers[name]
    return False


def refusing(exchange: Any) -> bool:
    """Answer as stores do that have no conditions."""
    if not {"if-match", "if-none-match"} & {name.lower() for name in exchange.headers}:
        return False
    return exchange.refuse(501, "NotImplemented")


@pytest.mark.parametrize("versioned", [False, True])
def test_moto_honours_everything(
    moto: str, location: Callable[..., S3Location], honours: Any, versioned: bool
) -> None:
    assert honours(location(moto, versioned=versioned)) == EVERYTHING


@pytest.mark.parametrize("behaviour", [ignoring, refusing])
def test_a_store_that_ignores_or_refuses_is_told_from_one_that_honours(
    moto: str, proxy: Any, location: Callable[..., S3Location], honours: Any, behaviour: Any
) -> None:
    proxy.request = behaviour
    assert honours(replace(location(moto), endpoint_url=proxy.url)) == NOTHING


@pytest.fixture
async def beyond(
    proxy: Any, moto: str, location: Callable[..., S3Location]
) -> AsyncIterator[S3ConfigBackend]:
    """A backend behind the proxy."""
    backend = S3ConfigBackend(replace(location(moto, max_staleness=0.0), endpoint_url=proxy.url))
    yield backend
    await backend.aclose()


@pytest.mark.parametrize("behaviour", [ignoring, refusing])
async def test_where_conditions_mean_nothing_they_are_refused_and_nothing_is_lost(
    proxy: Any, beyond: S3ConfigBackend, behaviour: Any
) -> None:
    proxy.request = behaviour
    with pytest.raises(UnsupportedOperationError, match="does not honour If-None-Match"):
        await beyond.commit(orders(n=1), expected=ABSENT)
    assert await beyond.list() == []
    await beyond.save(orders(n=1))
    version = (await stored(beyond)).version
    assert version is not None
    with pytest.raises(UnsupportedOperationError, match="does not honour If-Match"):
        await beyond.commit(orders(n=2), expected=version)
    with pytest.raises(UnsupportedOperationError, match="does not honour If-Match of removals"):
        await beyond.delete(ORDERS, expected=version)
    with pytest.raises(ConfigConflictError):
        await beyond.commit(orders(n=2), expected=ABSENT)
    assert (await stored(beyond)).properties == {"n": 1}
    await beyond.commit(orders(n=3), expected=ANY)
    assert (await stored(beyond)).properties == {"n": 3}
    await beyond.delete(ORDERS, expected=ANY)
    assert await beyond.list() == []


async def test_the_first_check_tells_what_is_refused_and_later_ones_ask_nothing_of_it(
    proxy: Any, beyond: S3ConfigBackend, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.request = ignoring
    await beyond.check()
    assert "does not honour If-None-Match; refused: saves that expect absence" in caplog.text
    assert "does not honour If-Match; refused: saves that expect a version" in caplog.text
    asked = len(proxy.seen)
    await beyond.check()
    assert len(proxy.seen) == asked + 1
    with pytest.raises(UnsupportedOperationError):
        await beyond.commit(orders(n=1), expected=ABSENT)
    assert caplog.text.count("does not honour If-None-Match") == 1
    assert await beyond.list() == []


def only_reading(exchange: Any) -> bool:
    """Answer as a store does whose credentials may read."""
    return exchange.command != "GET" and bool(exchange.refuse(403, "AccessDenied"))


def failing(exchange: Any) -> bool:
    return exchange.command != "GET" and bool(exchange.refuse(503, "SlowDown"))


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [(only_reading, BackendAccessDeniedError), (failing, BackendUnavailableError)],
)
async def test_a_bucket_that_takes_no_writes_is_served_and_tried_again_when_one_comes(
    proxy: Any,
    beyond: S3ConfigBackend,
    behaviour: Any,
    error: type[Exception],
    patience: None,
) -> None:
    proxy.request = behaviour
    await beyond.check()
    await beyond.check()
    assert await beyond.list() == []
    with pytest.raises(error):
        await beyond.commit(orders(n=1), expected=ABSENT)
    proxy.request = lambda _: False
    version = await beyond.commit(orders(n=1), expected=ABSENT)
    assert (await stored(beyond)).version == version


async def test_racing_creators_without_conditions_all_hear_that_they_cannot_create(
    proxy: Any, beyond: S3ConfigBackend
) -> None:
    proxy.request = ignoring
    outcomes = await asyncio.gather(
        *(beyond.commit(orders(n=number), expected=ABSENT) for number in range(16)),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in outcomes} == {UnsupportedOperationError}
    assert await beyond.list() == []


@pytest.mark.parametrize("versioned", [False, True])
async def test_nothing_is_lost_between_writers(
    moto: str,
    location: Callable[..., S3Location],
    open_s3: Callable[[S3Location], S3ConfigBackend],
    versioned: bool,
    patience: None,
) -> None:
    await race(open_s3, location(moto, versioned=versioned))


async def test_equal_bytes_stored_again_are_another_version_where_the_bucket_has_versions(
    moto: str,
    location: Callable[..., S3Location],
    open_s3: Callable[[S3Location], S3ConfigBackend],
) -> None:
    backend = open_s3(location(moto, versioned=True))
    first = await backend.commit(orders(n=1), expected=ABSENT)
    second = await backend.commit(orders(n=2), expected=first)
    third = await backend.commit(orders(n=1), expected=second)
    with pytest.raises(ConfigConflictError) as conflict:
        await backend.commit(orders(n=3), expected=first)
    assert conflict.value.current == third
    assert [entry.version async for entry in backend.keys()] == [third]


async def test_without_versions_a_version_is_the_bytes(
    moto: str,
    location: Callable[..., S3Location],
    open_s3: Callable[[S3Location], S3ConfigBackend],
) -> None:
    backend = open_s3(location(moto))
    first = await backend.commit(orders(n=1), expected=ABSENT)
    second = await backend.commit(orders(n=2), expected=first)
    assert await backend.commit(orders(n=1), expected=second) == first
    with pytest.raises(UnsupportedOperationError, match="without versioning"):
        await backend.history(ORDERS)
    with pytest.raises(UnsupportedOperationError, match="without versioning"):
        await backend.fetch_version(ORDERS, version=first)
