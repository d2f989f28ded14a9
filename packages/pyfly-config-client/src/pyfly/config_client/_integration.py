"""Integration with programs: environment variables, and a lifespan for ASGI applications."""

import logging
import os
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Container,
    Iterator,
    Mapping,
    MutableMapping,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

from pyfly.config_client._changes import Change
from pyfly.config_client._client import ConfigClient
from pyfly.config_client._merging import UnresolvedValue, as_text
from pyfly.config_client._properties import Properties
from pyfly.config_client._watch import AsyncWatcher
from pyfly.config_client.errors import PropertyTypeError
from pyfly.config_core.property_names import snake_variable, variable

_LOG: Final = logging.getLogger("pyfly.config_client")

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]

_OnChange: TypeAlias = Callable[[Change], Awaitable[object] | object]

_INTERVAL: Final = 60.0
_WAIT: Final = 45.0


def apply_to_environ(
    properties: Properties,
    environ: MutableMapping[str, str] | None = None,
    *,
    prefix: str = "",
    overwrite: bool = False,
) -> Mapping[str, str]:
    """Set environment variables from properties: `DB_POOL_SIZE` from `db.pool-size`.

    A variable that is already set is not changed, because the environment takes precedence over
    the server. It may also be set as `DB_POOLSIZE`, another name of the same property. A
    property whose placeholders cannot be resolved is left out and logged. A property with an
    empty name is left out.

    Args:
        properties: The result of a fetch.
        environ: Changed instead of the environment of this process.
        prefix: The start of every name, such as `ORDERS_`.
        overwrite: Replace variables that are already set.

    Returns:
        The variables that were set.

    Raises:
        PropertyTypeError: Two keys would have the same name. No variable was set.
        ValueError: The prefix contains `=` or a NUL.
    """
    target = os.environ if environ is None else environ
    chosen = variables_of(properties, prefix, besides=() if overwrite else target)
    target.update(chosen)
    return chosen


def variables_of(
    properties: Properties, prefix: str = "", *, besides: Container[str] = ()
) -> dict[str, str]:
    """Return properties as environment variables, without those that are already set.

    Raises:
        PropertyTypeError: Two keys with different values would have the same name, or a value
            contains a NUL.
        ValueError: The prefix cannot be part of a name.
    """
    if "=" in prefix or "\0" in prefix:
        raise ValueError("the prefix of variables must not contain '=' or a NUL")
    texts = dict(_texts(properties))
    shared = Counter(map(snake_variable, texts))
    found: dict[str, str] = {}
    for key, text in texts.items():
        snake = snake_variable(key)
        name = prefix + (snake if shared[snake] == 1 else variable(key))
        other = found.setdefault(name, key)
        if texts[other] != text:
            raise PropertyTypeError(f"{other!r} and {key!r} would both be the variable {name}")
    return {
        name: texts[key]
        for name, key in found.items()
        if name not in besides and prefix + variable(key) not in besides
    }


def _texts(properties: Properties) -> Iterator[tuple[str, str]]:
    for key, value in properties.entries().values():
        if isinstance(value, UnresolvedValue):
            _LOG.warning("%s; it is left out", value.error())
            continue
        text = as_text(value)
        if "\0" in text:
            raise PropertyTypeError(f"the property {key!r} contains a NUL, which no variable can")
        if variable(key):  # a key that consists of brackets has no name
            yield key, text


def config_lifespan(
    client: ConfigClient,
    *,
    on_change: _OnChange | None = None,
    watch: bool = True,
    interval: float = _INTERVAL,
    wait: float = _WAIT,
) -> Lifespan:
    """Return a lifespan for Litestar, Starlette or FastAPI that fetches before the first request.

    `app.state.config` holds the `Properties`, and is replaced as a whole when they change.

    Args:
        client: The client that fetches and watches.
        on_change: Called after each change, and awaited if it returns an awaitable. What it
            raises is logged.
        watch: Watch for changes.
        interval: As `ConfigClient.watch`.
        wait: As `ConfigClient.watch`.

    Raises:
        ConfigClientError: At start, if there is no configuration. The application then does not
            start.
        ValueError: As `ConfigClient.watch`.
    """
    client.watch(interval=interval, wait=wait)  # checks them

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[None]:
        import asyncio  # noqa: PLC0415 - takes 40 ms; the server has imported it

        app.state.config = await client.fetch()
        task = None
        if watch and client.config.policy != "offline":
            watcher = client.watch(interval=interval, wait=wait)
            task = asyncio.create_task(_follow(watcher, app, on_change))
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    return lifespan


async def _follow(watcher: AsyncWatcher, app: Any, on_change: _OnChange | None) -> None:
    try:
        async for change in watcher:
            app.state.config = change.properties
            if on_change is not None:
                await _report(on_change, change)
    except Exception as error:
        _LOG.error("watching ended: the transport raised %s", type(error).__name__)
        raise


async def _report(on_change: _OnChange, change: Change) -> None:
    """Call the program's function; log what it raises, without the text, which may show values."""
    import asyncio  # noqa: PLC0415 - takes 40 ms; the server has imported it

    try:
        result = on_change(change)
        if isinstance(result, Awaitable):
            await result
    except (
        Exception,
        asyncio.CancelledError,
    ) as error:  # the program's own code may raise anything
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
            raise  # the application ends
        _LOG.error("on_change raised %s; watching continues", type(error).__name__)
