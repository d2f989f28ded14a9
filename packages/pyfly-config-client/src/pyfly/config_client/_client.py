"""The two clients, and a lifespan for ASGI applications.

Plans decide what happens; a client lets a driver perform the steps.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeAlias, TypeVar

from pyfly.config_client._changes import Change, ClientStatus, register
from pyfly.config_client._config import ClientConfig
from pyfly.config_client._fetch import fetch, refresh
from pyfly.config_client._properties import Properties
from pyfly.config_client._steps import AsyncDriver, BlockingDriver, Session
from pyfly.config_client.errors import ConfigClientError

if TYPE_CHECKING:
    from pyfly.config_client._live import AsyncLive, SyncLive
    from pyfly.config_client._live_values import LiveValues
    from pyfly.config_client._watch import AsyncWatcher, Watcher

T = TypeVar("T")
P = ParamSpec("P")

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]
_OnChange: TypeAlias = Callable[[Change], Awaitable[object] | object]

_LOG: Final = logging.getLogger("pyfly.config_client")


def _with_arguments_of(
    _: Callable[P, ClientConfig],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Give a constructor the signature of `ClientConfig`, for type checkers and for `help`."""

    def decorate(constructor: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        update_wrapper(constructor, ClientConfig.__init__, assigned=(), updated=())
        return constructor

    return decorate


class _Client:
    """The part of both clients that does not wait for a network."""

    _live_values: "LiveValues | None" = None
    """Set by the first call of `live`."""

    @_with_arguments_of(ClientConfig)
    def __init__(self, **arguments: Any) -> None:
        self._use_config(ClientConfig(**arguments))

    @classmethod
    def from_config(cls, config: ClientConfig) -> Self:
        """Return a client with this configuration. `__init__` is not called.

        Raises:
            TypeError: It is not a `ClientConfig`.
        """
        if not isinstance(config, ClientConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"from_config takes a ClientConfig, not {type(config).__name__}")
        client = cls.__new__(cls)
        client._use_config(config)  # noqa: SLF001 - of this class
        return client

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **arguments: Any) -> Self:
        """Return a client configured by environment variables such as `PYFLY_CONFIG_URL`.

        See `ClientConfig.from_env`.

        Raises:
            ValueError: A variable is missing or cannot be used. The error names it.
        """
        return cls.from_config(ClientConfig.from_env(environ, **arguments))

    def _use_config(self, config: ClientConfig) -> None:
        self._session = Session(config, self._update_live_values)

    def _update_live_values(self) -> None:
        if self._live_values is not None:
            self._live_values.update()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config.build_requests(None)[0][0].url!r})"

    @property
    def config(self) -> ClientConfig:
        """The configuration of this client."""
        return self._session.config

    @property
    def current(self) -> Properties | None:
        """The newest good configuration; `None` before the first fetch."""
        return self._session.properties

    @property
    def document(self) -> bytes | None:
        """The environment document that `current` was read from; can be stored as a baseline."""
        loaded = self._session.holder.loaded
        return None if loaded is None else loaded.snapshot.body

    @property
    def status(self) -> ClientStatus:
        """What is in use, and how the last requests went. Shows no values."""
        return self._session.holder.status

    def on_change(self, function: Callable[[Change], object]) -> Callable[[], None]:
        """Call a function after every change of `current`, by `fetch`, `refresh` or a watcher.

        It is called in the thread of the fetch, refresh or watcher that found the change, after
        `current` is the new configuration. Functions are never called at the same time. What they
        raise is logged. The first fetch is no change.

        Returns:
            A function that ends this.
        """
        return register(self._session.holder.on_change, function)

    def on_status(self, function: Callable[[ClientStatus], object]) -> Callable[[], None]:
        """Call a function when `status` changes, as `on_change` does.

        It is called for another version, entity tag or origin, when requests begin to fail and
        succeed again, for rejected responses, and when a configuration becomes stale or is no
        longer so; not for every contact with the server.

        Returns:
            A function that ends this.
        """
        return register(self._session.holder.on_status, function)


class ConfigClient(_Client):
    """Reads the configuration of one application; for asyncio.

    `ConfigClient(server_url=…, application=…, profile=…)` takes the arguments of `ClientConfig`.
    The clients of a process share their connections; there is nothing to close.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ValueError: Another argument cannot be used.
        ImportError: `snapshot_key` is given, and the extra `encryption` is not installed.
    """

    async def fetch(self) -> Properties:
        """Return the merged properties. They are always complete.

        Raises:
            ServerUnreachableError: There was no whole response in time.
            ServerRejectedError: The status of the response is not 200.
            InvalidPayloadError: The response is not the configuration that was requested.
            SnapshotError: The client is offline, and no snapshot or baseline can be used.
        """
        try:
            return await AsyncDriver(self._session).run(fetch(self._session))
        except ConfigClientError as error:
            # The frames of this package tell a user nothing; the cause is kept.
            raise error.with_traceback(None)  # noqa: B904 - it is the same error

    async def refresh(self) -> Properties:
        """Ask the server now, and return the configuration in use then.

        The server looks at its store before it responds, whatever it has cached. It is asked
        once; a snapshot is not used. Functions of `on_change` have been called when this returns,
        unless another task or thread calls them at the moment.

        Raises:
            ConfigClientError: There was no response that can be used, or the client is offline.
                The configuration in use stays.
        """
        try:
            return await AsyncDriver(self._session).run(refresh(self._session))
        except ConfigClientError as error:
            raise error.with_traceback(None)  # noqa: B904 - as in `fetch`

    def watch(self, *, interval: float = 60.0, wait: float = 45.0) -> "AsyncWatcher":
        """Return an asynchronous iterator of every change from now on. It never ends.

        It fetches first if that was not done. The current configuration stays in use while the
        server is down or sends a response that cannot be used.

        Args:
            interval: Mean seconds between two requests, if the server does not hold them.
            wait: Seconds that the server may hold a request until something changes. Proxies end
                requests that take longer than they allow, often 50 or 60 seconds.

        Raises:
            ValueError: A number of seconds is negative or more than a day; an interval is 0.
        """
        from pyfly.config_client._watch import AsyncWatcher, WatchTiming  # noqa: PLC0415 - 4 ms, watchers only

        return AsyncWatcher(self._session, WatchTiming(interval=interval, wait=wait))

    def live(
        self,
        prefix: str,
        model: type[T],
        *,
        watch: bool = True,
        interval: float = 60.0,
        wait: float = 45.0,
    ) -> "AsyncLive[T]":
        """Return a typed value that follows the configuration while it is entered.

        `async with` fetches if that was not done, takes the first value, and watches. All live
        values of a client share one watcher; the last one that is left ends it.

        Args:
            prefix: As `Properties.bind`; empty for all properties.
            model: As `Properties.bind`; a frozen class is best.
            watch: Start the shared watcher. Without it, the value follows the configurations that
                other calls of this client receive, such as `fetch`, `watch` and `config_lifespan`.
            interval: As `watch`; used by the live value that starts the watcher.
            wait: As `watch`; used by the live value that starts the watcher.

        Raises:
            ValueError: As `watch`.
        """
        from pyfly.config_client._live import AsyncLive, AsyncLiveValues  # noqa: PLC0415 - 12 ms, live values only
        from pyfly.config_client._watch import WatchTiming  # noqa: PLC0415 - `_live` has imported it

        values: AsyncLiveValues = vars(self).setdefault(  # one, also if two threads call this
            "_live_values", AsyncLiveValues(self._session)
        )
        timing = WatchTiming(interval=interval, wait=wait)
        watch = watch and self.config.policy != "offline"
        return AsyncLive(values, prefix, model, timing if watch else None)


class SyncConfigClient(_Client):
    """Reads the configuration of one application; for code without an event loop.

    Takes the arguments of `ClientConfig`, as `ConfigClient` does. May also be called from a thread
    in which an event loop runs; it then blocks that thread.
    """

    def fetch(self) -> Properties:
        """Return the merged properties. They are always complete.

        Raises:
            ConfigClientError: As `ConfigClient.fetch`.
        """
        try:
            return BlockingDriver(self._session).run(fetch(self._session))
        except ConfigClientError as error:
            # The frames of this package tell a user nothing; the cause is kept.
            raise error.with_traceback(None)  # noqa: B904 - it is the same error

    def refresh(self) -> Properties:
        """Ask the server now, and return the configuration in use then.

        Raises:
            ConfigClientError: As `ConfigClient.refresh`.
        """
        try:
            return BlockingDriver(self._session).run(refresh(self._session))
        except ConfigClientError as error:
            raise error.with_traceback(None)  # noqa: B904 - as in `fetch`

    def watch(
        self,
        on_change: "Callable[[Change], object] | None" = None,
        *,
        interval: float = 60.0,
        wait: float = 45.0,
    ) -> "Watcher":
        """Watch in a background thread. Fetches first if that was not done.

        The thread ends with the process, or with `Watcher.stop`. In a forked process it is
        started again.

        Args:
            on_change: As for the method `on_change`, until the watcher is stopped.
            interval: As `ConfigClient.watch`.
            wait: As `ConfigClient.watch`.

        Raises:
            ConfigClientError: The first fetch failed, or the client is offline.
            ValueError: As `ConfigClient.watch`.
        """
        from pyfly.config_client._watch import Watcher, WatchTiming  # noqa: PLC0415 - 4 ms, watchers only

        timing = WatchTiming(interval=interval, wait=wait)
        if self._session.holder.loaded is None:
            self.fetch()
        return Watcher(self._session, timing, on_change)

    def live(
        self,
        prefix: str,
        model: type[T],
        *,
        watch: bool = True,
        interval: float = 60.0,
        wait: float = 45.0,
    ) -> "SyncLive[T]":
        """Return a typed value that follows the configuration. Fetches first if necessary.

        The arguments are those of `ConfigClient.live`.

        All live values of a client share one watcher, a thread that ends when the last of them is
        closed. In a forked process a live value goes on with a watcher of that process, which
        starts when the value is first read; at once if it has a callback.

        Raises:
            ConfigClientError: The first fetch failed, or its result does not fit the class.
            ValueError: As `ConfigClient.watch`.
        """
        from pyfly.config_client._live import SyncLive, SyncLiveValues  # noqa: PLC0415 - 12 ms, live values only
        from pyfly.config_client._watch import WatchTiming  # noqa: PLC0415 - `_live` has imported it

        values: SyncLiveValues = vars(self).setdefault(  # one, also if two threads call this
            "_live_values", SyncLiveValues(self._session)
        )
        timing = WatchTiming(interval=interval, wait=wait)
        watch = watch and self.config.policy != "offline"
        return SyncLive(values, prefix, model, timing if watch else None)


# --- a lifespan -----------------------------------------------------------------------


def config_lifespan(
    client: ConfigClient,
    *,
    on_change: _OnChange | None = None,
    watch: bool = True,
    interval: float = 60.0,
    wait: float = 45.0,
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


async def _follow(watcher: "AsyncWatcher", app: Any, on_change: _OnChange | None) -> None:
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
    except (Exception, asyncio.CancelledError) as error:  # the program may raise anything
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
            raise  # the application ends
        _LOG.error("on_change raised %s; watching continues", type(error).__name__)
