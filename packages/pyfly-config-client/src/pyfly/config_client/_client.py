"""The two clients: the core decides, they only send, sleep, read and write."""

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Final

from pyfly.config_client._blocking import Answered, Driver, Exchange
from pyfly.config_client._loading.answer import Answer
from pyfly.config_client._loading.effects import (
    Deliver,
    Effect,
    Keep,
    Plan,
    ReadStored,
    Send,
    Sleep,
    Work,
)
from pyfly.config_client._loading.loaded import Loaded
from pyfly.config_client._loading.plan import LOG, load
from pyfly.config_client._result.properties import Properties
from pyfly.config_client._setup import Setup, check_seconds
from pyfly.config_client.errors import ConfigClientError, SnapshotError

if TYPE_CHECKING:
    from pyfly.config_client._result.change import Change
    from pyfly.config_client._transport import Tls
    from pyfly.config_client._watch.watcher import Watcher


_LARGE: Final = 65_536
"""Bytes of an answer above which reading it would hold up an event loop."""


class _Client(Setup):
    """What both clients do without waiting for a network."""

    def _tls(self) -> "Tls":
        from pyfly.config_client import _transport  # noqa: PLC0415 - importing costs 150 ms

        files = (self.ca_file, self.client_cert, self.client_key)
        ca_file, cert, key = (None if file is None else str(file) for file in files)
        return _transport.Tls(ca_file=ca_file, client_cert=cert, client_key=key)

    def _touch_disk(self, effect: ReadStored | Keep) -> None:
        store = self._store
        if isinstance(effect, ReadStored):
            effect.result, effect.faults = store.read()
        elif store.enabled:
            try:
                effect.result = store.write(effect.snapshot)
            except SnapshotError as error:
                if not self._state.complained:
                    LOG.warning("going on without a snapshot: %s", error)
                self._state.complained = True

    def _use(self, loaded: Loaded) -> Properties:
        self._state.loaded = loaded
        return loaded.properties

    def _watch_plan(self, interval: float, wait: float) -> Plan[Loaded]:
        from pyfly.config_client._watch.plan import Pace, watch  # noqa: PLC0415 - watchers only

        check_seconds("interval", interval)
        check_seconds("wait", wait or interval)  # 0: the server need not hold a request
        loaded = self._state.loaded
        if loaded is None or self.policy == "offline":
            raise ConfigClientError("a client that is offline has nothing to watch")
        return watch(self._job, loaded, Pace(interval=interval, wait=wait))


class ConfigClient(_Client):
    """Reads the configuration of one application; for asyncio.

    Holds no connection between calls, so there is nothing to close.

    Args:
        server_url: Such as `http://config:8888`; several are asked in this order. User info in
            one is percent-decoded and used for it.
        application: One name or a comma list.
        profile: One name, a comma list or a sequence; the last one wins.
        label: The version of the tree; `None` leaves it to the server. A comma list is sent as
            it is; of a sequence the first label that exists is taken.
        base_path: Where the server mounts its routes; empty for most Spring servers.
        username: For basic authentication; wins over the URL. `user` with a password alone.
        password: Likewise.
        token: A bearer token instead.
        token_file: A file that holds the token, read for every fetch.
        timeout: Seconds for the whole call: servers, labels, retries, to the last byte; a day at
            most.
        attempts: How often all servers are asked at most. Without it three times when a
            snapshot or a baseline is at hand, and else as long as the timeout allows.
        policy: `prefer_server`: the server, else the last good snapshot, else the baseline.
            `require_server`: the server; nothing is read from or written to the disk.
            `offline`: a snapshot or the baseline; nothing is sent.
        strategy: Whether the next server is asked after every failure (`always`), or only when
            one cannot be reached (`connection-timeout-only`).
        allow_empty: Accept that nothing is stored for the application.
        allow_shrink: Accept that more than half of ten or more properties have gone.
        placeholders: Resolve `${key}` in values.
        validate: Called with a configuration before it is used or stored; raises to refuse it.
        snapshot_dir: Where snapshots live: `off` for nowhere, `None` for
            `$PYFLY_CONFIG_SNAPSHOT_DIR`, else `$XDG_STATE_HOME/pyfly-config`.
        snapshot_key: 32 bytes in base64 to encrypt snapshots with; needs the extra `encryption`.
        baseline: A file that holds an environment document, used when there is nothing better.
        ca_file: Certificates to recognise the server by, instead of the public ones.
        client_cert: A certificate to be recognised by.
        client_key: Its key, if that is another file.
        transport: An httpx transport to use instead of the network; its owner closes it.
            Snapshots are then written only when `snapshot_dir` is given.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ValueError: Another argument cannot be used.
        ImportError: Encryption is wanted, and its extra is not installed.
    """

    async def fetch(self) -> Properties:
        """Return the merged properties, or raise; never a part of them.

        Raises:
            ServerUnreachableError: There was no whole answer in time.
            ServerRejectedError: The server answered with another status than 200.
            InvalidPayloadError: The answer is not the configuration that was asked for.
            SnapshotError: Offline, and nothing is stored that can be used.
        """
        plan = load(self._job(), self._state.loaded)
        while True:
            try:
                effect = next(plan)
            except StopIteration as done:
                return self._use(done.value)
            except ConfigClientError as error:
                raise error.with_traceback(None)  # noqa: B904 - it is the same error
            await self._perform(effect)

    async def watch(
        self, *, interval: float = 60.0, wait: float = 30.0
    ) -> "AsyncGenerator[Change, None]":
        """Yield every change from now on, for ever; `fetch` is done first if it was not.

        What is known stays in use while the server is down or sends what cannot be used.

        Args:
            interval: Seconds between two requests on average, where the server answers at once.
            wait: Seconds that the server may hold a request until something changes.

        Raises:
            ConfigClientError: The first fetch failed, or this client is offline.
            ValueError: A number of seconds is negative or more than a day; an interval is 0.
        """
        if self._state.loaded is None:
            await self.fetch()
        for effect in self._watch_plan(interval, wait):
            if not isinstance(effect, Deliver):
                await self._perform(effect)
                continue
            self._use(effect.loaded)
            if effect.change.keys:
                yield effect.change

    async def _perform(self, effect: Effect) -> None:
        import asyncio  # noqa: PLC0415 - importing costs 40 ms

        match effect:
            case Send():
                try:
                    effect.result = await self._exchange(effect)
                except ConfigClientError as error:
                    effect.result = error
            case Sleep():
                await asyncio.sleep(effect.seconds)
            case Work() if effect.size > _LARGE:
                await asyncio.to_thread(effect.perform)
            case Work():
                effect.perform()
            case ReadStored() | Keep():
                await asyncio.to_thread(self._touch_disk, effect)
            case Deliver():
                raise AssertionError("only a watcher is given changes")

    async def _exchange(self, send: Send) -> Answer:
        if (double := self._double) is not None:
            return double.answer(send)
        from pyfly.config_client import _transport  # noqa: PLC0415 - importing costs 150 ms

        return await _transport.exchange(send, self._tls(), self.transport)


class SyncConfigClient(_Client):
    """The same client for code without an event loop; same arguments.

    May also be called from a thread in which an event loop runs; it then blocks that thread.
    """

    def fetch(self) -> Properties:
        """Return the merged properties, or raise; never a part of them.

        Raises:
            ConfigClientError: As `ConfigClient.fetch`.
        """
        try:
            return self._use(self._driver().run(load(self._job(), self._state.loaded)))
        except ConfigClientError as error:
            # Where it arose in here tells a user nothing; its cause is kept.
            raise error.with_traceback(None)  # noqa: B904 - it is the same error

    def watch(
        self,
        on_change: "Callable[[Change], object] | None" = None,
        *,
        interval: float = 60.0,
        wait: float = 30.0,
    ) -> "Watcher":
        """Watch in a background thread; `fetch` is done first if it was not.

        The thread ends with the process, or with `Watcher.stop`. In a process that was forked
        off it is started again.

        Args:
            on_change: Called in that thread after `current` has become the new configuration.
                What it raises is logged.
            interval: As `ConfigClient.watch`.
            wait: As `ConfigClient.watch`.

        Raises:
            ConfigClientError: The first fetch failed, or this client is offline.
            ValueError: As `ConfigClient.watch`.
        """
        from pyfly.config_client._watch.watcher import Watcher  # noqa: PLC0415 - not by a plain start

        if self._state.loaded is None:
            self.fetch()
        return Watcher(
            plan=lambda: self._watch_plan(interval, wait),
            driver=self._driver,
            use=self._use,
            on_change=on_change,
        )

    def _driver(self) -> Driver:
        return Driver(self._start_exchange, self._touch_disk)

    def _start_exchange(self, send: Send) -> Exchange:
        if (double := self._double) is not None:
            return Answered(double.answer(send))
        from pyfly.config_client import _transport  # noqa: PLC0415 - importing costs 150 ms

        return _transport.BlockingExchange(send, self._tls(), self.transport)
