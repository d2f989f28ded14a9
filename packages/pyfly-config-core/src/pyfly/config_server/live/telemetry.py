"""`Telemetry`: what a server counts with, and how it shows its metrics."""

from dataclasses import dataclass, field
from functools import partial

from pyfly.config_server.live.counters import Counters, total
from pyfly.config_server.live.exposition import MetricsRenderer, make_renderer

__all__ = ["Telemetry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """The counters of a process, and the renderer of its metrics."""

    counters: Counters = field(default_factory=Counters)
    """The counters of this process."""
    metrics: MetricsRenderer | None = None
    """Renders the metrics of all processes; `None` if nobody can fetch them."""

    @classmethod
    def with_metrics(cls) -> "Telemetry":
        """Return the telemetry of a server with one process, which shows its metrics.

        Raises:
            MetricsNotInstalledError: `pyfly-config-core[metrics]` is not installed.
        """
        counters = Counters()
        return cls(counters=counters, metrics=make_renderer(partial(total, [counters])))
