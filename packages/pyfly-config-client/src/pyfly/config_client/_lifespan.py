"""Configuration for the life of an ASGI application."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from pyfly.config_client._client import ConfigClient
from pyfly.config_client._loading.plan import LOG
from pyfly.config_client._result.change import Change
from pyfly.config_client._setup import check_seconds

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
        client: What to fetch with.
        on_change: Called, and awaited when it has to be, after each change. What it raises is
            logged.
        watch: Whether changes are watched for.
        interval: Seconds between two requests, as in `ConfigClient.watch`.

    Raises:
        ConfigClientError: At start, when there is no configuration; the application then does
            not start.
        ValueError: The interval is 0, negative or more than a day.
    """
    check_seconds("interval", interval)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[None]:
        import asyncio  # noqa: PLC0415 - whoever is here has it

        app.state.config = await client.fetch()
        task = None
        if watch and client.policy != "offline":
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
        except Exception as error:  # noqa: BLE001 - the program's own; watching goes on
            LOG.error("a callback failed: %s", type(error).__name__)
