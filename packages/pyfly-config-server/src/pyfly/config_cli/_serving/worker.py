"""One server in this process: the command's own one, or a worker of the supervisor."""

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Final

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._serving.application import ReplaceableApp
from pyfly.config_cli._serving.certificates import (
    ServerCertificate,
    certificate_of,
    check_tls,
    headers_of,
    prepare_tls,
)
from pyfly.config_cli._serving.channel import Channel
from pyfly.config_cli._serving.http_server import BACKLOG, HttpServer, run_in_loop
from pyfly.config_cli._serving.limits import (
    DRAIN_SECONDS,
    RELOAD_SECONDS,
    ConnectionLimits,
    connection_limit,
)
from pyfly.config_cli._serving.listeners import METRICS_ADVICE, Listeners, listen, resolve
from pyfly.config_cli._serving.logs import set_up_logs
from pyfly.config_cli._serving.service_manager import notify_ready
from pyfly.config_cli._serving.setup import (
    check_exposure,
    closing_on_error,
    make_app,
    open_app,
    set_up_process,
)
from pyfly.config_cli._serving.signals import on_hangup, on_stop
from pyfly.config_cli._serving.start_report import print_report
from pyfly.config_cli._serving.telemetry import (
    CounterSlot,
    ProcessCounters,
    metrics_servers,
    open_counters,
)
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import key_of
from pyfly.config_cli._settings.transfer import decode_settings
from pyfly.config_core import BackendUnavailableError, ConfigError
from pyfly.config_server import ConfigServer

_LOG: Final = logging.getLogger(__name__)

READY: Final = "ready"
"""What a worker sends when it answers requests; else it sends the reason why it does not."""


def serve_alone(
    load: Callable[[], ServerSettings],
    settings: ServerSettings,
    server: ConfigServer,
    listeners: Listeners,
) -> None:
    """Serve in this process until SIGTERM or SIGINT; SIGHUP loads the settings again.

    Args:
        load: Loads the settings again.
        settings: The settings at the start.
        server: The server of these settings. It is checked, and closed at the end.
        listeners: Bound sockets.

    Raises:
        ConfigError: A store or an address cannot be used.
    """
    run_in_loop(_serve_alone(load, settings, server, listeners))


async def _serve_alone(
    load: Callable[[], ServerSettings],
    settings: ServerSettings,
    server: ConfigServer,
    listeners: Listeners,
) -> None:
    loop = asyncio.get_running_loop()
    answering, counters = asyncio.Event(), ProcessCounters.alone()
    app, certificate = ReplaceableApp(headers_of(settings)), certificate_of(settings)
    http_servers = [
        _make_server(app, listeners.service, answering.set, settings, certificate),
        *metrics_servers(counters.all, listeners),
    ]
    hangups: asyncio.Queue[None] = asyncio.Queue(1)

    def note_hangup() -> None:
        if hangups.empty():
            hangups.put_nowait(None)

    await check_and_listen(server, settings, listeners)
    await app.replace(make_app(server, settings, counters), logs=settings.access_log)

    def end() -> None:
        app.close_connections()
        for http_server in http_servers:
            http_server.stop()

    stop = from_signal(loop, end)
    on_stop(stop)
    on_hangup(from_signal(loop, note_hangup), stop)
    tasks = [
        asyncio.create_task(_report(answering, server, settings)),
        asyncio.create_task(
            _reload_forever(partial(_reload, app, counters, certificate), settings, load, hangups)
        ),
    ]
    await asyncio.gather(*(http_server.run() for http_server in http_servers))
    for task in tasks:
        task.cancel()
    await app.aclose()


async def check_and_listen(
    server: ConfigServer, settings: ServerSettings, listeners: Listeners
) -> None:
    """Check the stores, then let clients connect. On errors the server is closed.

    With a standby, a store may be unavailable.

    Raises:
        ConfigError: A store or an address cannot be used.
    """
    async with closing_on_error(server):
        try:
            await server.check()
        except BackendUnavailableError as error:
            if not settings.standby:
                raise
            _LOG.warning("a store is away; what the standby keeps of it is served: %s", error)
        listen(settings.host, listeners.service, backlog=BACKLOG)
        metrics_host = settings.metrics_listen.rpartition(":")[0]
        listen(metrics_host, listeners.metrics, backlog=BACKLOG, advice=METRICS_ADVICE)


async def _report(answering: asyncio.Event, server: ConfigServer, settings: ServerSettings) -> None:
    await answering.wait()
    notify_ready()
    await print_report(server, settings)


async def _reload(
    app: ReplaceableApp,
    counters: ProcessCounters,
    certificate: ServerCertificate | None,
    settings: ServerSettings,
) -> None:
    """Replace the application and the certificate by those that settings describe."""
    tls = prepare_tls(certificate, settings)
    new = await open_app(settings, counters, check=True)
    counters.own.forget_looks()
    await app.replace(new, logs=settings.access_log)
    set_up_logs(settings)
    if certificate is not None and tls is not None:
        certificate.use(tls)


async def _reload_forever(
    reload: Callable[[ServerSettings], Awaitable[None]],
    settings: ServerSettings,
    load: Callable[[], ServerSettings],
    hangups: "asyncio.Queue[None]",
) -> None:
    while True:
        await hangups.get()
        try:
            new = load()
            check_reload(settings, new)
            await reload(new)
        except (ConfigError, OSError) as error:
            _LOG.error("not reloaded, the settings before stay in use: %s", error)
        except Exception as error:  # noqa: BLE001 - a store of a third party may raise anything
            _LOG.error("not reloaded: %s", type(error).__name__)
        else:
            settings = new
            _LOG.info("settings reloaded")


def check_reload(old: ServerSettings, new: ServerSettings) -> None:
    """Check that a running server can change from old settings to new ones.

    Raises:
        SettingsError: The new settings need a restart, or would lose a store.
    """
    if any(url.startswith("memory:") for url in old.store_urls):
        raise SettingsError("'memory:' keeps its bundles in this process; a reload would lose them")
    for name in ("host", "port", "workers", "metrics", "metrics_listen"):
        if getattr(old, name) != getattr(new, name):
            raise SettingsError(f"a new value of {key_of(name)!r} needs a restart")
    if bool(old.tls_certificate_file) != bool(new.tls_certificate_file):
        raise SettingsError("to speak TLS, or no longer, needs a restart")
    check_tls(new)
    check_exposure(new, resolve(new.host, new.port))


def from_signal(
    loop: asyncio.AbstractEventLoop, function: Callable[[], object]
) -> Callable[[], object]:
    """Return a function that signal handlers and threads may call to run another in the loop."""

    def call() -> None:
        try:
            loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed: the process ends anyway
            return

    return call


def _make_server(
    app: ReplaceableApp,
    listeners: Sequence[socket.socket],
    ready: Callable[[], None],
    settings: ServerSettings,
    certificate: ServerCertificate | None,
) -> HttpServer:
    return HttpServer(
        app,
        listeners,
        limits=ConnectionLimits(connections=connection_limit()),
        ready=ready,
        direct=app.direct,
        certificate=certificate,
        headers=headers_of(settings),
    )


# --- a worker of the supervisor -------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrder:
    """The order to a worker at its start: one line of JSON on its channel."""

    settings: Mapping[str, object] = field(repr=False)
    """As `encode_settings` returns them, secrets in clear text."""
    listeners: Sequence[int]
    """Descriptors of the sockets that all workers share."""
    check: bool
    """True if the worker must ask its stores before it answers."""
    accepted_certificate: bool = False
    """True if the worker must not start with a certificate that clients refuse: the others, which
    started before the files changed, have a better one."""
    counter_slot: CounterSlot | None = None
    """Where the worker publishes its counters."""

    def encode(self) -> bytes:
        """Return the line."""
        order = {
            "settings": dict(self.settings),
            "listeners": [*self.listeners],
            "check": self.check,
            "accepted_certificate": self.accepted_certificate,
            "counter_slot": None if self.counter_slot is None else asdict(self.counter_slot),
        }
        return json.dumps(order).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "WorkerOrder":
        """Return the order that a line holds."""
        found = json.loads(line)
        slot = found.pop("counter_slot")
        return cls(**found, counter_slot=None if slot is None else CounterSlot(**slot))


def work(channel: Channel) -> int:
    """Run a worker of the supervisor at the other end of the channel; return the exit code."""
    order = WorkerOrder.decode(channel.order())
    settings = decode_settings(order.settings)
    set_up_process(settings)
    try:
        with open_counters(order.counter_slot) as counters:
            run_in_loop(_work(order, settings, channel, counters))
    except (ConfigError, OSError) as error:
        channel.say(str(error))
        return 1
    return 0


async def _work(
    order: WorkerOrder, settings: ServerSettings, channel: Channel, counters: ProcessCounters
) -> None:
    loop = asyncio.get_running_loop()
    app = ReplaceableApp(headers_of(settings))
    listeners = [socket.socket(fileno=number) for number in order.listeners]
    ready = partial(channel.say, READY)
    certificate = certificate_of(settings, must_be_accepted=order.accepted_certificate)
    server = _make_server(app, listeners, ready, settings, certificate)
    new = await open_app(settings, counters, check=order.check)
    await app.replace(new, logs=settings.access_log)

    def end() -> None:
        app.close_connections()
        server.stop()

    on_stop(from_signal(loop, end))

    def drain() -> None:
        app.close_connections()
        server.stop(drain_seconds=DRAIN_SECONDS, grace_seconds=RELOAD_SECONDS)

    channel.on_drain(from_signal(loop, drain))
    await server.run()
    await app.aclose()
