"""The counters of a process, and the metrics that are made of the counters of all processes."""

import contextlib
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._serving.http_server import HttpServer
from pyfly.config_cli._serving.limits import ConnectionLimits
from pyfly.config_cli._serving.listeners import Listeners
from pyfly.config_cli._settings.metrics import has_metrics
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_server import MetricsApp, Telemetry
from pyfly.config_server.live.counters import Counters, total
from pyfly.config_server.live.exposition import CounterSource, make_renderer
from pyfly.config_server.live.slots import published_counters, read_slots

_CONNECTIONS: Final = 64
"""Open connections to the second address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessCounters:
    """The counters of this process, and the source of those of all processes."""

    own: Counters
    all: CounterSource

    @classmethod
    def alone(cls) -> "ProcessCounters":
        """Return the counters of a server with one process."""
        own = Counters()
        return cls(own=own, all=partial(total, [own]))

    def telemetry(self, settings: ServerSettings) -> Telemetry:
        """Return what an application counts with and shows.

        Raises:
            MetricsNotInstalledError: `pyfly-config-core[metrics]` is not installed.
        """
        metrics = make_renderer(self.all) if settings.metrics else None
        return Telemetry(counters=self.own, metrics=metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterSlot:
    """The place where a worker publishes its counters."""

    directory: str
    number: int
    restarted: bool = False
    """True if the previous worker in the slot ended by itself."""


@contextlib.contextmanager
def open_counters(slot: CounterSlot | None) -> Generator[ProcessCounters]:
    """Yield the counters of a worker.

    Args:
        slot: Where it publishes its counters; `None` if there are no metrics.

    Raises:
        OSError: The directory cannot be written.
    """
    if slot is None:
        yield ProcessCounters.alone()
        return
    directory = Path(slot.directory)
    with published_counters(directory, slot.number, restarted=slot.restarted) as own:
        yield ProcessCounters(own=own, all=partial(read_slots, directory))


@contextlib.contextmanager
def slot_directory(settings: ServerSettings) -> Generator[Path | None]:
    """Yield a private directory for the slots of workers, `None` if there are no metrics.

    Raises:
        SettingsError: It cannot be made.
    """
    if not has_metrics(settings):
        yield None
        return
    try:
        directory = tempfile.TemporaryDirectory(prefix="pyfly-config-", ignore_cleanup_errors=True)
    except OSError as error:
        raise SettingsError(
            f"metrics of several workers need a temporary directory: {error.strerror or error}; "
            "set TMPDIR to a directory that can be written"
        ) from error
    with directory as path:
        yield Path(path)


def metrics_servers(source: CounterSource, listeners: Listeners) -> list[HttpServer]:
    """Return the server of the second address for metrics; none if there is no such address.

    Raises:
        MetricsNotInstalledError: `pyfly-config-core[metrics]` is not installed.
    """
    if not listeners.metrics:
        return []
    app: Any = MetricsApp(make_renderer(source))  # Litestar has its own ASGI types
    limits = ConnectionLimits(connections=_CONNECTIONS)
    return [HttpServer(app, listeners.metrics, limits=limits, ready=_do_nothing)]


def _do_nothing() -> None:
    """Report nothing: the second address says nothing at its start."""
