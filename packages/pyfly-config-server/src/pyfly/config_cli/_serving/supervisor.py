"""Several workers on the same listening sockets: started, restarted, replaced, stopped."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from pyfly.config_cli._serving.certificates import (
    ServerCertificate,
    certificate_of,
    prepare_tls,
)
from pyfly.config_cli._serving.http_server import HttpServer
from pyfly.config_cli._serving.limits import DRAIN_SECONDS, KILL_SECONDS, RELOAD_SECONDS
from pyfly.config_cli._serving.listeners import Listeners
from pyfly.config_cli._serving.logs import set_up_logs
from pyfly.config_cli._serving.service_manager import notify_ready
from pyfly.config_cli._serving.signals import on_hangup, on_stop
from pyfly.config_cli._serving.start_report import print_report
from pyfly.config_cli._serving.telemetry import CounterSlot, metrics_servers, slot_directory
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
from pyfly.config_server.live.slots import read_slots

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
    listeners: Listeners,
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
    with slot_directory(settings) as directory:
        asyncio.run(_Supervisor(load, listeners, counters=directory).run(settings, server))


class _Supervisor:
    def __init__(
        self,
        load: Callable[[], ServerSettings],
        listeners: Listeners,
        *,
        counters: Path | None,
    ) -> None:
        self._load = load
        self._listeners = listeners
        self._counters = counters
        self._certificate: ServerCertificate | None = None  # that of the workers
        self._fleets: set[_Fleet] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    async def run(self, settings: ServerSettings, server: ConfigServer) -> None:
        await check_and_listen(server, settings, self._listeners)
        self._certificate = certificate_of(settings)
        loop = asyncio.get_running_loop()
        stop, hangup = asyncio.Event(), asyncio.Event()
        on_stop(from_signal(loop, stop.set))
        on_hangup(from_signal(loop, hangup.set), from_signal(loop, stop.set))
        fleet = self._make_fleet(settings)
        fleet.start(check=False)
        http_servers = self._metrics_servers()
        serving = [asyncio.create_task(one.run()) for one in http_servers]
        reporting = asyncio.create_task(_report(fleet, server))
        notifying = asyncio.create_task(_notify(fleet))
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
        notifying.cancel()
        for listener in self._listeners.service:
            listener.close()
        for http_server in http_servers:
            http_server.stop()
        await asyncio.gather(*serving, *(fleet.end() for fleet in self._fleets))
        await server.aclose()

    def _metrics_servers(self) -> list[HttpServer]:
        if self._counters is None:
            return []
        return metrics_servers(partial(read_slots, self._counters), self._listeners)

    def _make_fleet(self, settings: ServerSettings) -> "_Fleet":
        descriptors = [one.fileno() for one in self._listeners.service]
        used = {slot.number for fleet in self._fleets for slot in fleet.counter_slots}
        free = (number for number in itertools.count() if number not in used)
        slots = [
            CounterSlot(directory=str(self._counters), number=number)
            for number in itertools.islice(free, settings.workers)
            if self._counters is not None
        ]
        accepted = self._certificate is not None and self._certificate.is_accepted
        fleet = _Fleet(settings, descriptors, counter_slots=slots, accepted_certificate=accepted)
        self._fleets.add(fleet)
        return fleet

    async def _replace(self, fleet: "_Fleet") -> "_Fleet":
        """Start new workers; stop the old workers when all new workers answer."""
        new: _Fleet | None = None
        try:
            settings = self._load()
            check_reload(fleet.settings, settings)
            tls = prepare_tls(self._certificate, settings)
            new = self._make_fleet(settings)
            await new.start_together()
        except (ConfigError, OSError, TimeoutError) as error:
            _LOG.error("not reloaded, the settings before stay in use: %s", error)
            if new is not None:
                await new.end()
                self._fleets.discard(new)
            return fleet
        if self._certificate is not None and tls is not None:
            self._certificate.use(tls)
        leaving = asyncio.create_task(self._drain(fleet))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        set_up_logs(settings)
        _LOG.info("settings reloaded")
        return new

    async def _drain(self, fleet: "_Fleet") -> None:
        await fleet.drain()
        self._fleets.discard(fleet)


async def _report(fleet: "_Fleet", server: ConfigServer) -> None:
    await fleet.first.wait()
    await print_report(server, fleet.settings)
    await server.aclose()


async def _notify(fleet: "_Fleet") -> None:
    await fleet.started()
    notify_ready()


class _Fleet:
    """The workers of one set of settings."""

    def __init__(
        self,
        settings: ServerSettings,
        descriptors: Sequence[int],
        *,
        counter_slots: Sequence[CounterSlot],
        accepted_certificate: bool,
    ) -> None:
        self.settings = settings
        self.counter_slots = counter_slots
        self.first = asyncio.Event()
        self._descriptors = descriptors
        self._accepted_certificate = accepted_certificate
        self._count = settings.workers
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

    async def started(self) -> None:
        """Return when every worker has answered once."""
        await asyncio.wait(self._started)

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
        pause, started, restarted = FIRST_PAUSE, self._started[slot], False
        while True:
            began = loop.time()
            said, how = await self._run(slot, check=check, restarted=restarted)
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
            restarted = True
            pause = min(2 * pause, LONGEST_PAUSE)

    def _counter_slot(self, slot: int, *, restarted: bool) -> CounterSlot | None:
        if not self.counter_slots:
            return None
        return replace(self.counter_slots[slot], restarted=restarted)

    async def _run(self, slot: int, *, check: bool, restarted: bool) -> tuple[str, str]:
        """Start a worker and wait for its end; return its first line and how it ended."""
        order = WorkerOrder(
            settings=encode_settings(self.settings),
            listeners=self._descriptors,
            check=check,
            accepted_certificate=self._accepted_certificate,
            counter_slot=self._counter_slot(slot, restarted=restarted),
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
