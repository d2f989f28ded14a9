"""Our client watches our server: held requests bring changes, a broken file makes it stale.

Clients ask once an hour if the server does not hold their requests, so only held ones bring news.
"""

import asyncio
import queue
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client import Change, ClientStatus, ConfigClient, SyncConfigClient

pytestmark = pytest.mark.anyio

PATIENCE = 60.0


class Watched:
    """A client that watches, whichever it is."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.changes: queue.Queue[Change] = queue.Queue()
        self.statuses: queue.Queue[ClientStatus] = queue.Queue()
        client.on_change(self.changes.put)
        client.on_status(self.statuses.put)

    async def change(self) -> Change:
        return await asyncio.to_thread(self.changes.get, timeout=PATIENCE)

    async def status(self, wanted: Callable[[ClientStatus], bool]) -> None:
        while not wanted(await asyncio.to_thread(self.statuses.get, timeout=PATIENCE)):
            pass

    async def call(self, name: str) -> Any:
        if isinstance(self.client, ConfigClient):
            return await getattr(self.client, name)()
        return await asyncio.to_thread(getattr(self.client, name))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "store" / "main" / "orders-prod.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("db: {url: first, size: 1}\nother: 1\n", encoding="utf-8")
    return file


@pytest.fixture
def arguments(start_server: Callable[..., Any], file: Path) -> dict[str, Any]:
    server = start_server(file.parents[1], TOKEN="a-long-random-token")
    names = {"server_url": server.url, "application": "orders", "profile": "prod"}
    return {**names, "token": "a-long-random-token", "policy": "require_server"}


@pytest.fixture(params=["async", "sync"])
async def watch(
    request: pytest.FixtureRequest, arguments: dict[str, Any]
) -> AsyncIterator[Callable[..., Any]]:
    ends: list[Callable[[], Any]] = []

    async def start(wait: float = 45.0, **how: Any) -> Watched:
        if request.param == "sync":
            sync_client = SyncConfigClient(**arguments | how)
            await asyncio.to_thread(sync_client.fetch)
            watcher = sync_client.watch(interval=3600, wait=wait)

            async def stop() -> None:
                await asyncio.to_thread(watcher.stop)

            ends.append(stop)
            return Watched(sync_client)
        client = ConfigClient(**arguments | how)
        await client.fetch()

        async def follow() -> None:
            async for _ in client.watch(interval=3600, wait=wait):
                pass

        task = asyncio.create_task(follow())

        async def end() -> None:
            task.cancel()
            await asyncio.wait([task])

        ends.append(end)
        return Watched(client)

    yield start
    for one in ends:
        await one()


async def test_changes_of_a_file_arrive_one_after_the_other(watch: Any, file: Path) -> None:
    watched = await watch()
    for text in ("second", "third"):
        file.write_text(f"db: {{url: {text}, size: 1}}\nother: 1\n", encoding="utf-8")
        change = await watched.change()
        assert change.changed == {"db.url"}
        assert change.properties["db.url"] == text


async def test_a_refresh_finds_what_was_stored_before_it(watch: Any, file: Path) -> None:
    watched = await watch()
    file.write_text("db: {url: second, size: 1}\nother: 1\n", encoding="utf-8")
    assert (await watched.call("refresh"))["db.url"] == "second"
    assert (await watched.change()).changed == {"db.url"}


async def test_other_keys_than_those_requested_bring_no_change(watch: Any, file: Path) -> None:
    watched = await watch(keys=["db"])
    assert watched.client.current == {"db.url": "first", "db.size": 1}
    file.write_text("db: {url: first, size: 1}\nother: 2\n", encoding="utf-8")
    assert await watched.call("refresh") == {"db.url": "first", "db.size": 1}
    file.write_text("db: {url: first, size: 2}\nother: 3\n", encoding="utf-8")
    assert (await watched.change()).keys == {"db.size"}


async def test_a_broken_file_is_stale_until_it_is_mended(watch: Any, file: Path) -> None:
    watched = await watch(wait=1)
    file.write_text("db: {url: [\n", encoding="utf-8")
    await watched.status(lambda status: status.stale_for is not None)
    assert watched.client.current == {"db.url": "first", "db.size": 1, "other": 1}
    file.write_text("db: {url: mended, size: 1}\nother: 1\n", encoding="utf-8")
    assert (await watched.change()).properties["db.url"] == "mended"
    assert watched.client.current.stale_for is None
