"""A client that watches a server which holds requests."""

import asyncio
import queue
from collections.abc import Callable
from typing import Any

from pyfly.config_client import Change, ClientStatus, ConfigClient, Properties, SyncConfigClient

PATIENCE = 60.0


class Watched:
    """A client that watches, whichever it is; all methods wait."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.changes: queue.Queue[Change] = queue.Queue()
        self.statuses: queue.Queue[ClientStatus] = queue.Queue()

    async def refresh(self) -> Properties:
        if isinstance(self.client, ConfigClient):
            return await self.client.refresh()
        return await asyncio.to_thread(self.client.refresh)

    async def fetch(self) -> Properties:
        if isinstance(self.client, ConfigClient):
            return await self.client.fetch()
        return await asyncio.to_thread(self.client.fetch)

    async def change(self) -> Change:
        return await asyncio.to_thread(self.changes.get, timeout=PATIENCE)

    async def status(self, wanted: Callable[[ClientStatus], bool]) -> ClientStatus:
        """Return the next status of which something is true."""
        while not wanted(found := await asyncio.to_thread(self.statuses.get, timeout=PATIENCE)):
            pass
        return found


def clients(server: Any, count: int) -> list[SyncConfigClient]:
    return [
        SyncConfigClient(server_url=server.url, application="orders", profile="prod", attempts=1)
        for _ in range(count)
    ]
