"""Several workers on the same listening sockets: started, restarted, replaced, stopped."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final

from pyfly.config_cli._serving.limits import DRAIN_SECONDS, KILL_SECONDS, RELOAD_SECONDS
from pyfly.config_cli._serving.signals import on_hangup, on_stop
from pyfly.config_cli._serving.start_report import print_report
from pyfly.config_cli._serving.worker import (
    READY,
    WorkerOrder,
    check_and_listen,
    check_reload,
    from_signal,
)
from pyfly.config_cli._serving.worker_process import WorkerProcess, end_workers
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.transfer import encode_settings
from pyfly.config_core import ConfigError
from pyfly.config_server import ConfigServer

_LOG: Final = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.2
"""Seconds until a worker that ended is started again; doubles with each time."""
LONGEST_PAUSE: Final = 30.0
HEALTHY_SECONDS: Final = 30.0
"""The run time after which the pause is reset."""
_START_SECONDS: Final = 60.0
"""The time for new workers to get ready at a reload."""


def supervise(
    load: Callable[[], ServerSettings],
    settings: ServerSettings,
    server: ConfigServer,
    listeners: Sequence[socket.socket],
) -> None:
    """Serve with several workers until SIGTERM or SIGINT; SIGHUP replaces all of them.

    Args:
        load: Loads the settings again.
        settings: The settings at the start.
        server: The server of these settings, for the check and the report in this process.
        listeners: Bound sockets.

    Raises:
        ConfigError: A store or an address cannot be used.
    """
    asyncio.run(_Supervisor(load, listeners, count=settings.workers).run(settings, server))


class _Supervisor:
    def __init__(
        self,
        load: Callable[[], ServerSettings],
        listeners: Sequence[socket.socket],
        *,
        count: int,
    ) -> None:
        self._load = load
        self._listeners = listeners
        self._count = count
        self._fleets: set[_Fleet] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    async def run(self, settings: ServerSettings, server: ConfigServer) -> None:
        await check_and_listen(server, settings, self._listeners)
        loop = asyncio.get_running_loop()
        stop, hangup = asyncio.Event(), asyncio.Event()
        on_stop(from_signal(loop, stop.set))
        on_hangup(from_signal(loop, hangup.set), from_signal(loop, stop.set))
        fleet = self._make_fleet(settings)
        fleet.start(check=False)
        reporting = asyncio.create_task(_report(fleet, server))
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            hanging = asyncio.create_task(hangup.wait())
            await asyncio.wait([stopping, hanging], return_when=asyncio.FIRST_COMPLETED)
            hanging.cancel()
            if hangup.is_set() and not stop.is_set():
                hangup.clear()
                replacing = asyncio.create_task(self._replace(fleet))
                await asyncio.wait([stopping, replacing], return_when=asyncio.FIRST_COMPLETED)
                if replacing.done():
                    fleet = replacing.result()
        reporting.cancel()
        for listener in self._listeners:
            listener.close()
        await asyncio.gather(*(fleet.end() for fleet in self._fleets))
        await server.aclose()

    def _make_fleet(self, settings: ServerSettings) -> "_Fleet":
        fleet = _Fleet(settings, [one.fileno() for one in self._listeners], count=self._count)
        self._fleets.add(fleet)
        return fleet

    async def _replace(self, fleet: "_Fleet") -> "_Fleet":
        """Start new workers; stop the old workers when all new workers answer."""
        new: _Fleet | None = None
        try:
            settings = self._load()
            check_reload(fleet.settings, settings)
            new = self._make_fleet(settings)
            await new.start_together()
        except (ConfigError, OSError, TimeoutError) as error:
            _LOG.error("not reloaded, the settings before stay in use: %s", error)
            if new is not None:
                await new.end()
                self._fleets.discard(new)
            return fleet
        leaving = asyncio.create_task(self._drain(fleet))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        _LOG.info("settings reloaded")
        return new

    async def _drain(self, fleet: "_Fleet") -> None:
        await fleet.drain()
        self._fleets.discard(fleet)


async def _report(fleet: "_Fleet", server: ConfigServer) -> None:
    await fleet.first.wait()
    await print_report(server, fleet.settings)
    await server.aclose()


class _Fleet:
    """The workers of one set of settings."""

    def __init__(self, settings: ServerSettings, descriptors: Sequence[int], *, count: int) -> None:
        self.settings = settings
        self.first = asyncio.Event()
        self._descriptors = descriptors
        self._count = count
        self._workers: dict[int, WorkerProcess] = {}
        self._restarting: list[asyncio.Task[None]] = []

    def start(self, *, check: bool) -> None:
        """Start the workers, and restart each worker that ends."""
        self._started: list[asyncio.Future[None]] = [
            asyncio.get_running_loop().create_future() for _ in range(self._count)
        ]
        self._restarting = [
            asyncio.create_task(self._run_forever(slot, check=check)) for slot in range(self._count)
        ]

    async def start_together(self) -> None:
        """Start the workers and return when all of them answer.

        Raises:
            ConfigError: A worker cannot serve; the message gives the reason.
            TimeoutError: A worker is not ready in time.
        """
        self.start(check=True)
        async with asyncio.timeout(_START_SECONDS):
            await asyncio.gather(*self._started)

    async def drain(self) -> None:
        """Let the workers finish their requests, and end."""
        self._stop_restarting()
        workers = [*self._workers.values()]
        for worker in workers:
            worker.send(b"drain")
        await end_workers(workers, after=DRAIN_SECONDS + RELOAD_SECONDS + KILL_SECONDS)

    async def end(self) -> None:
        """End the workers at once."""
        self._stop_restarting()
        await end_workers([*self._workers.values()], after=0)

    def _stop_restarting(self) -> None:
        for task in self._restarting:
            task.cancel()
        for started in self._started:
            started.cancel()

    async def _run_forever(self, slot: int, *, check: bool) -> None:
        loop = asyncio.get_running_loop()
        pause, started = FIRST_PAUSE, self._started[slot]
        while True:
            began = loop.time()
            said, how = await self._run(slot, check=check)
            if started.done():
                check = False
            elif check:
                started.set_exception(ConfigError(said or f"a new worker {how}"))
                return
            if loop.time() - began > HEALTHY_SECONDS:
                pause = FIRST_PAUSE
            reason = f": {said}" if said and said != READY else ""
            _LOG.warning("worker %d %s%s; it starts again in %.1f s", slot + 1, how, reason, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run(self, slot: int, *, check: bool) -> tuple[str, str]:
        """Start a worker and wait for its end; return its first line and how it ended."""
        order = WorkerOrder(
            settings=encode_settings(self.settings), listeners=self._descriptors, check=check
        )
        try:
            worker = self._workers[slot] = await WorkerProcess.start(order)
        except (OSError, RuntimeError) as error:  # no more processes or threads, no interpreter
            return "", f"could not be started ({error})"
        said = await worker.read_line()
        if said == READY:
            self.first.set()
            if not self._started[slot].done():
                self._started[slot].set_result(None)
        return said, f"ended {await worker.ended()}"
