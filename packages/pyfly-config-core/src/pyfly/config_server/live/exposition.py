"""The text of the metrics, as a scrape gets it. The library is imported when a renderer is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from pyfly.config_core import MetricsNotInstalledError
from pyfly.config_server.live.counters import Counters

__all__ = ["CounterSource", "MetricsPage", "MetricsRenderer", "make_renderer"]

CounterSource: TypeAlias = Callable[[], Counters]
"""Returns the counters of all processes together. Called in any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """The metrics at one moment."""

    headers: Sequence[tuple[str, str]]
    """The media type, and the encoding if there is one."""
    body: bytes = field(repr=False)


class MetricsRenderer(Protocol):
    """Renders metrics."""

    def render(self, *, accept: str, accept_encoding: str) -> MetricsPage:
        """Return the metrics in the format that a client prefers. May take milliseconds.

        Args:
            accept: The header `Accept`: Prometheus' text format or OpenMetrics.
            accept_encoding: The header `Accept-Encoding`: `gzip` or none.
        """
        ...


def make_renderer(source: CounterSource) -> MetricsRenderer:
    """Return a renderer of counters.

    Raises:
        MetricsNotInstalledError: `pyfly-config-core[metrics]` is not installed.
    """
    try:
        from pyfly.config_server.live.metrics import PrometheusRenderer  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        raise MetricsNotInstalledError from error
    return PrometheusRenderer(source)
