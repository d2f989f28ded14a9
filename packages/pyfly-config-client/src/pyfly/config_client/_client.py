"""The two clients. Plans decide what happens; the clients only let a driver perform the steps."""

import logging
from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Final, Never, ParamSpec, Self, TypeVar

from pyfly.config_client._acceptance import Job, Loaded
from pyfly.config_client._changes import Change, ClientStatus, ConfigurationHolder, register
from pyfly.config_client._config import ClientConfig, check_seconds
from pyfly.config_client._fetch import load, revalidate
from pyfly.config_client._properties import Properties
from pyfly.config_client._rounds import Revalidation
from pyfly.config_client._snapshots import SnapshotStore
from pyfly.config_client._steps import (
    AsyncDriver,
    BlockingDriver,
    ClientAccess,
    Plan,
    UseConfiguration,
)
from pyfly.config_client.errors import ConfigClientError, SnapshotError

if TYPE_CHECKING:
    from pyfly.config_client._live import AsyncLive, SyncLive
    from pyfly.config_client._live_values import LiveValues
    from pyfly.config_client._watch import AsyncWatcher, Watcher, WatchTiming

T = TypeVar("T")
P = ParamSpec("P")

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config.build_requests(None)[0][0].url!r})"

    @property
    def config(self) -> ClientConfig:
        """The configuration of this client."""
        return self._config

    @property
    def current(self) -> Properties | None:
        """The newest good configuration; `None` before the first fetch."""
        loaded = self._holder.loaded
        return None if loaded is None else loaded.properties

    @property
    def document(self) -> bytes | None:
        """The environment document that `current` was read from; can be stored as a baseline."""
        loaded = self._holder.loaded
        return None if loaded is None else loaded.snapshot.body

    @property
    def status(self) -> ClientStatus:
        """What is in use, and how the last requests went. Shows no values."""
        return self._holder.status

    def on_change(self, function: Callable[[Change], object]) -> Callable[[], None]:
        """Call a function after every change of `current`, by `fetch`, `refresh` or a watcher.

        It is called in the thread of the fetch, refresh or watcher that found the change, after
        `current` is the new configuration. Functions are never called at the same time. What they
        raise is logged. The first fetch is no change.

        Returns:
            A function that ends this.
        """
        return register(self._holder.on_change, function)

    def on_status(self, function: Callable[[ClientStatus], object]) -> Callable[[], None]:
        """Call a function when `status` changes, as `on_change` does.

        It is called for another version, entity tag or origin, when requests begin to fail and
        succeed again, for rejected responses, and when a configuration becomes stale or is no
        longer so; not for every contact with the server.

        Returns:
            A function that ends this.
        """
        return register(self._holder.on_status, function)

    def _use_config(self, config: ClientConfig) -> None:
        self._config = config
        self._holder = ConfigurationHolder(self._update_live_values)
        self._disk_error_logged = False

    def _store(self) -> SnapshotStore:
        return self._config.snapshot_store(in_memory=self._config.make_transport().in_memory)

    def _access(self) -> ClientAccess:
        return ClientAccess(self._holder, self._store, self._log_disk_error)

    def _log_disk_error(self, error: SnapshotError) -> None:
        if not self._disk_error_logged:
            _LOG.warning("continuing without a snapshot: %s", error)
        self._disk_error_logged = True

    def _job(self) -> Job:
        """Return what to fetch.

        Raises:
            ConfigClientError: The token file cannot be used.
        """
        config = self._config
        in_memory = config.make_transport().in_memory
        return Job(
            config=config,
            requests=config.build_requests(config.load_token()),
            attempts=1 if in_memory and config.attempts is None else config.attempts,
            pauses=not in_memory,
        )

    def _load(self) -> Plan[Properties]:
        """Fetch, and return the configuration that is in use then."""
        known = self._holder.loaded
        loaded = yield from load(self._job(), known)
        yield UseConfiguration(loaded=loaded, known=known)
        return self._in_use().properties

    def _refresh(self) -> Plan[Properties]:
        """Ask once, until the response is not older than what came into use meanwhile."""
        if self._config.policy == "offline":
            raise ConfigClientError("a client with the policy 'offline' cannot refresh")
        while True:
            known = self._holder.loaded
            found = yield from revalidate(self._job(), Revalidation(loaded=known, no_cache=True))
            step = UseConfiguration(loaded=found, known=known)
            yield step
            if step.result:
                return self._in_use().properties

    def _in_use(self) -> Loaded:
        loaded = self._holder.loaded
        assert loaded is not None  # noqa: S101 - a fetch has succeeded
        return loaded

    def _update_live_values(self) -> None:
        if self._live_values is not None:
            self._live_values.update()

    def _refetch(self) -> None:
        """Fetch from a transport in memory, which does not wait; also in an event loop."""
        BlockingDriver(self._config, self._access()).run(self._load())

    def _live_timing(self, *, watch: bool, interval: float, wait: float) -> "WatchTiming | None":
        timing = self._timing(interval, wait)
        return timing if watch and self._config.policy != "offline" else None

    @staticmethod
    def _timing(interval: float, wait: float) -> "WatchTiming":
        from pyfly.config_client._watch import WatchTiming  # noqa: PLC0415 - 4 ms, watchers only

        check_seconds("interval", interval)
        if wait != 0:  # then the server need not hold a request
            check_seconds("wait", wait)
        return WatchTiming(interval=interval, wait=wait)

    def _watch_plan(self, timing: "WatchTiming") -> "Plan[Never]":
        from pyfly.config_client._watch import watch  # noqa: PLC0415 - 4 ms, watchers only

        if self._config.policy == "offline":
            raise ConfigClientError("a client with the policy 'offline' cannot watch")
        return watch(self._job, self._in_use, timing)


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
            return await self._driver().run(self._load())
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
            return await self._driver().run(self._refresh())
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
        from pyfly.config_client._watch import AsyncWatcher  # noqa: PLC0415 - 4 ms, watchers only

        timing = self._timing(interval, wait)
        return AsyncWatcher(self, self._holder, self._driver(), lambda: self._watch_plan(timing))

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

        values: AsyncLiveValues = vars(self).setdefault(  # one, also if two threads call this
            "_live_values", AsyncLiveValues(self, self._refetch)
        )
        timing = self._live_timing(watch=watch, interval=interval, wait=wait)
        return AsyncLive(values, prefix, model, timing)

    def _driver(self) -> AsyncDriver:
        return AsyncDriver(self._config, self._access())


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
            return self._driver().run(self._load())
        except ConfigClientError as error:
            # The frames of this package tell a user nothing; the cause is kept.
            raise error.with_traceback(None)  # noqa: B904 - it is the same error

    def refresh(self) -> Properties:
        """Ask the server now, and return the configuration in use then.

        Raises:
            ConfigClientError: As `ConfigClient.refresh`.
        """
        try:
            return self._driver().run(self._refresh())
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
        from pyfly.config_client._watch import Watcher  # noqa: PLC0415 - 4 ms, watchers only

        timing = self._timing(interval, wait)
        if self._holder.loaded is None:
            self.fetch()
        return Watcher(self, self._driver, lambda: self._watch_plan(timing), on_change)

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

        All live values of a client share one watcher, a thread that ends when the last of them is
        closed. In a forked process a live value goes on with a watcher of that process, which
        starts when the value is first read; at once if it has a callback.

        Args:
            prefix: As `ConfigClient.live`.
            model: As `ConfigClient.live`.
            watch: As `ConfigClient.live`.
            interval: As `ConfigClient.live`.
            wait: As `ConfigClient.live`.

        Raises:
            ConfigClientError: The first fetch failed, or its result does not fit the class.
            ValueError: As `ConfigClient.watch`.
        """
        from pyfly.config_client._live import SyncLive, SyncLiveValues  # noqa: PLC0415 - 12 ms, live values only

        values: SyncLiveValues = vars(self).setdefault(  # one, also if two threads call this
            "_live_values", SyncLiveValues(self, self._live_watcher)
        )
        timing = self._live_timing(watch=watch, interval=interval, wait=wait)
        return SyncLive(values, prefix, model, timing)

    def _live_watcher(self, timing: "WatchTiming") -> "Watcher":
        from pyfly.config_client._watch import Watcher  # noqa: PLC0415 - 4 ms, watchers only

        def plan() -> "Plan[Never]":
            return self._watch_plan(timing)

        return Watcher(self, self._driver, plan, restarts=False)

    def _driver(self) -> BlockingDriver:
        return BlockingDriver(self._config, self._access())
