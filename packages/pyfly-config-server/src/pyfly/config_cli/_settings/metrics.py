"""Settings of metrics."""

from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_server.live.counters import Counters
from pyfly.config_server.live.exposition import make_renderer


def has_metrics(settings: ServerSettings) -> bool:
    """True if clients can fetch metrics."""
    return settings.metrics or bool(settings.metrics_listen)


def check_metrics(settings: ServerSettings) -> None:
    """Check that the metrics which settings ask for can be rendered.

    Raises:
        MetricsNotInstalledError: `pyfly-config-core[metrics]` is not installed.
    """
    if has_metrics(settings):
        make_renderer(Counters)
