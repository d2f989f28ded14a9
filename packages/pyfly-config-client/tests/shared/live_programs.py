"""A program with live values, and what it is configured with."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyfly.config_client import AsyncLive, ConfigClient, Live

PATIENCE = 60.0

FAST: dict[str, Any] = {"interval": 0.02}


@dataclass(frozen=True)
class Db:
    url: str
    pool_size: int = 5


@dataclass(frozen=True)
class Cache:
    size: int


def document(version: str | None = None, **source: Any) -> dict[str, Any]:
    source = {name.replace("__", "."): value for name, value in source.items()}
    sources = [{"name": "main/orders.yaml", "source": source}]
    names = {"name": "orders", "profiles": ["prod"], "label": None, "version": version}
    return names | {"propertySources": sources}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - another thread may make it true
            await asyncio.sleep(0.005)


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "pyfly-config-watch"]


class Program:
    """A program with one client of either kind, and its live values."""

    def __init__(self, client: Any, stack: contextlib.AsyncExitStack) -> None:
        self.client = client
        self.stack = stack

    async def live(self, prefix: str, model: Any, **how: Any) -> Live[Any]:
        live = self.client.live(prefix, model, **FAST | how)
        if isinstance(live, AsyncLive):
            return await self.stack.enter_async_context(live)
        return self.stack.enter_context(live)

    async def close(self, live: Any) -> None:
        if isinstance(live, AsyncLive):
            await live.aclose()
        else:
            live.close()

    async def fetch(self) -> None:
        if isinstance(self.client, ConfigClient):
            await self.client.fetch()
        else:
            self.client.fetch()
