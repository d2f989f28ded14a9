"""Listings and changes have the rows that a principal may see."""

import base64
import json
from pathlib import Path

import pytest
from access_principals import PRINCIPALS, covers, holds
from access_served import Served, served
from access_stores import STORES

from pyfly.config_core import ConfigKey
from pyfly.config_server import (
    LiveOptions,
)
from pyfly.config_server.storage import ConfigSource

pytestmark = pytest.mark.anyio

stores = pytest.mark.parametrize("store", STORES)


@stores
@pytest.mark.parametrize("limit", ["1", "2", "100"])
async def test_a_listing_has_the_rows_that_one_may_see(
    tmp_path: Path, store: str, limit: str
) -> None:
    async with served(await STORES[store].open(tmp_path), live=LiveOptions()) as server:
        everything = await all_rows(server, "admin", limit)
        for principal in PRINCIPALS:
            if not holds(principal, "inspect"):
                assert (await server.ask(principal, "/config/_bundles")).status == 403
                continue
            wanted = [row for row in everything if covers(principal, "inspect", *row)]
            assert await all_rows(server, principal, limit) == wanted
            tag = (await server.ask(principal, "/config/_bundles")).headers[b"etag"].decode()
            other = await server.ask("admin", "/config/_bundles", if_none_match=tag)
            assert other.status == (304 if wanted == everything else 200)


async def all_rows(server: Served, principal: str, limit: str) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    cursor = ""
    while True:
        answer = await server.ask(principal, f"/config/_bundles?limit={limit}{cursor}")
        page = json.loads(answer.body)
        rows += [(row["application"], row["profile"], row["label"]) for row in page["bundles"]]
        if page["next"] is None:
            return rows
        told = base64.urlsafe_b64decode(page["next"] + "==")
        key = ConfigKey(application=rows[-1][0], profile=rows[-1][1], label=rows[-1][2])
        assert key.application.encode() in told
        assert principal == "admin" or b"billing" not in told
        cursor = "&cursor=" + page["next"]


@stores
async def test_changes_name_what_one_may_see(tmp_path: Path, store: str) -> None:
    async with served(
        await STORES[store].open(tmp_path), live=LiveOptions(max_staleness=0.2)
    ) as server:
        seen: dict[str, set[str]] = {}
        cursors = {
            name: json.loads((await server.ask(name, "/config/_changes")).body)["cursor"]
            for name in ("admin", "orders", "service")
        }
        for application in ("billing", "orders", "orders-service"):
            await server.store.save(
                ConfigSource(application=application, profile="prod", properties={"n": 2})
            )
        for name, cursor in cursors.items():
            answer = await server.ask(name, f"/config/_changes?cursor={cursor}")
            changes = json.loads(answer.body)["changes"]
            seen[name] = {one.get("application") or one.get("path") for one in changes}
        assert {"billing", "orders", "orders-service"} <= seen["admin"]
        own = {"orders"} if store == "memory" else {"orders", "orders-prod.yml"}
        assert seen["orders"] - {None} == own
        assert seen["service"] - {None} == {"orders-service"}
