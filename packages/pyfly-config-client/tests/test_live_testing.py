"""Live values have followed a change when the call that made the change in the fake ends."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from pyfly.config_client import ConfigClient, Live, SyncConfigClient
from pyfly.config_client.testing import FakeConfigServer

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Shipping:
    fee: int
    note: str = ""


NAMES: dict[str, Any] = {"server_url": "http://config:8888", "application": "orders"}


@pytest.fixture(params=["async", "sync"])
async def shipping(
    request: pytest.FixtureRequest, config_server: FakeConfigServer
) -> AsyncIterator[Live[Shipping]]:
    config_server.put("orders", "default", {"shipping.fee": 5})
    before = threading.active_count()
    if request.param == "async":
        async with ConfigClient(**NAMES).live("shipping", Shipping) as live:
            yield live
    else:
        with SyncConfigClient(**NAMES).live("shipping", Shipping) as live:
            assert threading.active_count() == before
            yield live


async def test_overrides_come_and_go(
    shipping: Live[Shipping], config_server: FakeConfigServer
) -> None:
    seen: list[Any] = []
    shipping.on_change(lambda old, new: seen.append((old.fee, new.fee)))
    with config_server.override({"shipping.fee": 0}):
        assert shipping.value == Shipping(0)
        with config_server.override({"shipping": {"note": "free"}}):
            assert shipping.value == Shipping(0, "free")
        assert shipping.value == Shipping(0)
    assert shipping.value == Shipping(5)
    assert seen == [(5, 0), (0, 0), (0, 0), (0, 5)]


async def test_a_stored_change_arrives_or_is_rejected(
    shipping: Live[Shipping], config_server: FakeConfigServer
) -> None:
    reasons: list[str] = []
    shipping.on_rejected(lambda rejection: reasons.append(rejection.reason))
    config_server.put("orders", "default", {"shipping.fee": 6})
    assert shipping.value == Shipping(6)
    config_server.put("orders", "default", {"shipping.fee": "much"})
    assert shipping.value == Shipping(6)
    assert shipping.rejected is not None
    assert reasons == [shipping.rejected.reason]
    config_server.put("orders", "default", {"shipping.fee": 7})
    assert (shipping.value, shipping.rejected) == (Shipping(7), None)


async def test_a_fault_keeps_the_value_until_it_ends(
    shipping: Live[Shipping], config_server: FakeConfigServer, caplog: pytest.LogCaptureFixture
) -> None:
    with config_server.fault("down"):
        config_server.put("orders", "default", {"shipping.fee": 6})
        assert shipping.value == Shipping(5)
    assert shipping.value == Shipping(6)
    assert "live values: keeping the current configuration" in caplog.text


async def test_an_inner_server_answers_while_it_is_active(
    shipping: Live[Shipping], config_server: FakeConfigServer
) -> None:
    inner = FakeConfigServer()
    inner.put("orders", "default", {"shipping.fee": 9})
    assert shipping.value == Shipping(5)
    with inner:
        assert shipping.value == Shipping(9)
    assert shipping.value == Shipping(5)


async def test_a_change_from_another_thread_arrives_at_once(
    shipping: Live[Shipping], config_server: FakeConfigServer
) -> None:
    await asyncio.to_thread(config_server.put, "orders", "default", {"shipping.fee": 6})
    assert shipping.value == Shipping(6)


async def test_coroutines_are_called_soon(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "default", {"shipping.fee": 5})
    called = asyncio.Event()
    async with ConfigClient(**NAMES).live("shipping", Shipping) as shipping:

        @shipping.on_change
        async def note(old: Shipping, new: Shipping) -> None:
            called.set()

        config_server.put("orders", "default", {"shipping.fee": 6})
        await asyncio.wait_for(called.wait(), 60)


async def test_a_value_of_a_module_begins_anew_with_every_server() -> None:
    """As in an application whose tests start it several times."""
    of_module = ConfigClient(**NAMES).live("shipping", Shipping)
    for fee in (1, 2):
        with FakeConfigServer() as server:
            server.put("orders", "default", {"shipping.fee": fee})
            async with of_module as live:
                assert live.value == Shipping(fee)


def test_clients_of_one_server_do_not_hear_of_another(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "default", {"shipping.fee": 5})
    other = FakeConfigServer()
    other.put("orders", "default", {"shipping.fee": 1})
    with other.client("orders").live("shipping", Shipping) as shipping:
        with config_server.override({"shipping.fee": 0}):
            assert shipping.value == Shipping(1)
        with other.override({"shipping.fee": 2}):
            assert shipping.value == Shipping(2)
