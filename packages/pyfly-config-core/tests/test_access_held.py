"""Held requests, and rights that come and go."""

import asyncio
import json
from pathlib import Path

import pytest
from access_served import served
from access_stores import STORES, in_memory

from pyfly.config_server import (
    LiveOptions,
    Principal,
    Rule,
)
from pyfly.config_server.storage import ConfigSource

pytestmark = pytest.mark.anyio

stores = pytest.mark.parametrize("store", STORES)


async def test_a_change_that_one_may_not_see_ends_no_wait(tmp_path: Path) -> None:
    async with served(
        await STORES["memory"].open(tmp_path), live=LiveOptions(max_staleness=0.05)
    ) as server:
        first = json.loads((await server.ask("orders", "/config/_changes")).body)["cursor"]
        target = f"/config/_changes?cursor={first}"
        held = asyncio.ensure_future(server.ask("orders", target, prefer="wait=60"))
        for n in range(3):
            await server.store.save(
                ConfigSource(application="billing", profile="prod", properties={"n": n})
            )
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(held), 0.1)
        await server.store.save(
            ConfigSource(application="orders", profile="prod", properties={"n": 2})
        )
        got = json.loads((await asyncio.wait_for(held, 20)).body)
        assert [one["application"] for one in got["changes"]] == ["orders"]
        assert got["cursor"] != first


@stores
@pytest.mark.parametrize(
    "target",
    [
        "/config/orders/prod",
        "/config/orders/prod/main",
        "/config/orders-prod.yml",
        "/config/main/orders-prod.yml",
        "/config/_changes?cursor=",
    ],
)
async def test_a_held_request_is_refused_when_its_right_is_gone(
    tmp_path: Path, store: str, target: str
) -> None:
    async with served(
        await STORES[store].open(tmp_path), live=LiveOptions(max_staleness=0.05)
    ) as server:
        if target.endswith("="):
            start = await server.ask("orders", "/config/_changes")
            target += json.loads(start.body)["cursor"]
        first = [await server.ask("orders", target) for _ in range(2)][1]
        tag = first.headers.get(b"etag", b"").decode()
        hold = {"if_none_match": tag} if tag else {}
        held = asyncio.ensure_future(server.ask("orders", target, prefer="wait=60", **hold))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(held), 0.05)
        server.badges.principals[b"Bearer orders"] = Principal(name="orders")
        await server.store.save(
            ConfigSource(application="orders", profile="prod", properties={"n": 2})
        )
        assert (await asyncio.wait_for(held, 20)).status == 403


async def test_a_held_file_is_refused_when_its_right_is_gone() -> None:
    store = await in_memory(Path())
    target = "/config/orders/prod/main/orders/own.txt"
    async with served(store, live=LiveOptions(max_staleness=0.05)) as server:
        first = [await server.ask("orders", target) for _ in range(2)][1]
        tag = first.headers[b"etag"].decode()
        held = asyncio.ensure_future(
            server.ask("orders", target, prefer="wait=60", if_none_match=tag)
        )
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(held), 0.05)
        server.badges.principals[b"Bearer orders"] = Principal(name="orders")
        store.put_resource("main", "orders/own.txt", b"canary-new")
        got = await asyncio.wait_for(held, 20)
        assert (got.status, b"canary" in got.body) == (403, False)


async def test_a_foreign_tag_holds_nothing(tmp_path: Path) -> None:
    async with served(await STORES["labels"].open(tmp_path), live=LiveOptions()) as server:
        for target in ("/config/billing/prod", "/config/billing-prod.yml"):
            whole = [await server.ask("admin", target) for _ in range(2)][1]
            tag = whole.headers[b"etag"].decode()
            refused = server.ask("orders", target, prefer="wait=60", if_none_match=tag)
            assert (await asyncio.wait_for(refused, 20)).status == 403


async def test_a_new_rule_counts_for_the_next_request(tmp_path: Path) -> None:
    async with served(await STORES["labels"].open(tmp_path), live=LiveOptions()) as server:
        badges, target = server.badges.principals, "/config/billing/prod"
        for _ in range(2):
            assert (await server.ask("admin", target)).status == 200
            assert (await server.ask("orders", target)).status == 403
            badges[b"Bearer orders"] = Principal(
                name="orders", rules=(Rule.parse(rights=["read"], on="billing/*/*"),)
            )
            for _ in range(3):
                assert (await server.ask("orders", target)).status == 200
            badges[b"Bearer orders"] = Principal(name="orders")
            for _ in range(3):
                assert (await server.ask("orders", target)).status == 403
