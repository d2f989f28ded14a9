"""Metrics of clients for Prometheus; needs `pip install 'pyfly-config-client[metrics]'`."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from pyfly.config_client._changes import ClientStatus
from pyfly.config_client._client import ConfigClient, SyncConfigClient

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

__all__ = ["ClientCollector"]

_PREFIX: Final = "pyfly_config_client"
_LABELS: Final = ("application", "profile", "label")
_Names = tuple[str, str, str]


class ClientCollector:
    """Collects the status of clients when it is scraped. Shows names, never values.

    Args:
        clients: The clients; no two of them may have the same application, profile and label.
        registry: Where it registers; `None` is the default registry of `prometheus_client`.

    Raises:
        ImportError: The extra `metrics` is not installed.
        ValueError: Two clients have the same names, or there are metrics of this name already.
    """

    def __init__(
        self,
        *clients: ConfigClient | SyncConfigClient,
        registry: "CollectorRegistry | None" = None,
    ) -> None:
        try:
            from prometheus_client import REGISTRY  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise ImportError("metrics need: pip install 'pyfly-config-client[metrics]'") from error
        self._clients: Final = {_names(client): client for client in clients}
        if len(self._clients) < len(clients):
            raise ValueError("two clients have the same application, profile and label")
        (registry or REGISTRY).register(self)

    def collect(self) -> "Iterable[Metric]":
        """Return the metrics of this moment; `prometheus_client` calls it."""
        from prometheus_client.core import (  # noqa: PLC0415 - an extra
            CounterMetricFamily,
            GaugeMetricFamily,
        )

        found = [(names, client.status) for names, client in self._clients.items()]
        rejected = CounterMetricFamily(
            f"{_PREFIX}_rejected_responses", "Responses that were rejected.", labels=_LABELS
        )
        for names, status in found:
            rejected.add_metric(names, status.rejected)
        yield rejected
        gauges = {
            name: GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=_LABELS)
            for name, text in _GAUGES.items()
        }
        for names, status in found:
            for name, value in _values(status):
                gauges[name].add_metric(names, value)
        yield from gauges.values()


_GAUGES: Final = {
    "last_contact_timestamp_seconds": "When the server last sent or confirmed the configuration.",
    "stale_seconds": "For how long the server cannot read its store; 0 if it can.",
    "failing": "1 if the latest request failed.",
    "from_snapshot": "1 if the configuration in use is from a snapshot or the baseline.",
}


def _values(status: ClientStatus) -> Iterator[tuple[str, float]]:
    if status.last_contact is not None:
        yield "last_contact_timestamp_seconds", status.last_contact.timestamp()
    yield "stale_seconds", status.stale_for or 0.0
    yield "failing", float(status.failing)
    yield "from_snapshot", float(status.loaded_from in {"snapshot", "baseline"})


def _names(client: ConfigClient | SyncConfigClient) -> _Names:
    identity = client.config.identity
    label = ",".join(one for one in identity.labels if one is not None)
    return identity.application, identity.profiles, label
