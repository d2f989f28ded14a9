"""A lifespan for ASGI applications: fetches at start, and keeps the configuration current."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from pyfly.config_client._client import ConfigClient
from pyfly.config_client._config import check_seconds
from pyfly.config_client._watch import Change

_LOG: Final = logging.getLogger("pyfly.config_client")

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]

_INTERVAL: Final = 60.0


def config_lifespan(
    client: ConfigClient,
    *,
    on_change: Callable[[Change], Awaitable[object] | object] | None = None,
    watch: bool = True,
    interval: float = _INTERVAL,
) -> Lifespan:
    """Return a lifespan for Litestar, Starlette or FastAPI that fetches before the first request.

    `app.state.config` holds the `Properties`, and is replaced as a whole when they change.

    Args:
        client: The client that fetches and watches.
        on_change: Called after each change, and awaited if it returns an awaitable. What it
            raises is logged.
        watch: Watch for changes.
        interval: Seconds between two requests, as in `ConfigClient.watch`.

    Raises:
        ConfigClientError: At start, if there is no configuration. The application then does not
            start.
        ValueError: The interval is 0, negative or more than a day.
    """
    check_seconds("interval", interval)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[None]:
        import asyncio  # noqa: PLC0415 - takes 40 ms; the server has imported it

        app.state.config = await client.fetch()
        task = None
        if watch and client.config.policy != "offline":
            task = asyncio.create_task(_follow(client, app, on_change, interval))
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    return lifespan


async def _follow(
    client: ConfigClient,
    app: Any,
    on_change: Callable[[Change], Awaitable[object] | object] | None,
    interval: float,
) -> None:
    async for change in client.watch(interval=interval):
        app.state.config = change.properties
        if on_change is None:
            continue
        try:
            result = on_change(change)
            if isinstance(result, Awaitable):
                await result
        except Exception as error:  # noqa: BLE001 - the program's own code may raise anything
            _LOG.error("on_change raised %s; watching continues", type(error).__name__)
