"""The metrics of the server for Prometheus. Only this module imports `prometheus_client`.

Names, labels and meanings are listed in `METRICS`, which docs/reference/metrics.md shows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    make_wsgi_app,  # pyright: ignore[reportUnknownVariableType] - without types for its callable
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from pyfly.config_server.live.counters import Counters, Histogram
from pyfly.config_server.live.exposition import CounterSource, MetricsPage

__all__ = ["METRICS", "CountersCollector", "MetricDescription", "PrometheusRenderer"]

_Values: TypeAlias = Mapping[tuple[str, ...], float | Histogram]
"""Values by the values of the labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDescription:
    """One metric."""

    name: str
    """Without the suffixes `_total`, `_bucket`, `_sum` and `_count` that Prometheus adds."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its series, as queries use them."""
        if self.kind == "histogram":
            return tuple(self.name + suffix for suffix in ("_bucket", "_count", "_sum"))
        return (f"{self.name}_total",) if self.kind == "counter" else (self.name,)


METRICS: Final = (
    MetricDescription(
        name="pyfly_config_http_requests",
        kind="counter",
        labels=("route", "status"),
        help="Responses by route and HTTP status. The route is the operationId of the OpenAPI "
        "document, or live, ready, springHealth, metrics, or none for a path without a route.",
    ),
    MetricDescription(
        name="pyfly_config_http_request_duration_seconds",
        kind="histogram",
        labels=("route",),
        help="Duration of requests by route, without those that were held to wait for a change.",
    ),
    MetricDescription(
        name="pyfly_config_answers",
        kind="counter",
        labels=("outcome",),
        help="Answers with configuration: hit (from the cache), miss (rendered for the request), "
        "stale (older than allowed, because a store or a bundle failed).",
    ),
    MetricDescription(
        name="pyfly_config_answers_rendered",
        kind="counter",
        help="Answers that were rendered, for requests and for watchers.",
    ),
    MetricDescription(
        name="pyfly_config_answers_broken",
        kind="gauge",
        help="Answers that are held back because a stored text does not parse; of several "
        "processes the largest number.",
    ),
    MetricDescription(
        name="pyfly_config_store_looks",
        kind="counter",
        labels=("store",),
        help="Looks for changes at a store, including failed ones. The first store is 1. A "
        "store that cannot say what has changed has none.",
    ),
    MetricDescription(
        name="pyfly_config_store_look_errors",
        kind="counter",
        labels=("store",),
        help="Looks for changes that a store did not answer.",
    ),
    MetricDescription(
        name="pyfly_config_store_last_look_timestamp_seconds",
        kind="gauge",
        labels=("store",),
        help="When the last answered look for changes began; 0 if none was answered. Of several "
        "processes the oldest.",
    ),
    MetricDescription(
        name="pyfly_config_watchers",
        kind="gauge",
        help="Requests that are held until their answer changes.",
    ),
    MetricDescription(
        name="pyfly_config_watchers_rejected",
        kind="counter",
        help="Requests that were not held, because too many were held already.",
    ),
    MetricDescription(
        name="pyfly_config_watcher_wake_seconds",
        kind="histogram",
        help="Time from the notice of a change to the answer of a request that was held for it.",
    ),
    MetricDescription(
        name="pyfly_config_workers",
        kind="gauge",
        help="Server processes that run.",
    ),
    MetricDescription(
        name="pyfly_config_worker_restarts",
        kind="counter",
        help="Server processes that ended by themselves and were started again.",
    ),
)
"""All metrics, in the order of the page."""


class CountersCollector:
    """Collects the metrics of a server for a `prometheus_client` registry.

    Args:
        source: Returns the counters, in the thread that collects.
    """

    def __init__(self, source: CounterSource) -> None:
        self._source = source

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without values."""
        for one in METRICS:
            yield _family(one, {})

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics with the values of this moment."""
        values = _values(self._source())
        for one in METRICS:
            yield _family(one, values[one.name])


class PrometheusRenderer:
    """Renders metrics in Prometheus' text format or in OpenMetrics.

    Args:
        source: Returns the counters, in the thread that renders.
    """

    def __init__(self, source: CounterSource) -> None:
        registry = CollectorRegistry()
        registry.register(CountersCollector(source))
        # the library's public way to choose a format
        self._app: Callable[..., Iterable[bytes]] = make_wsgi_app(registry)

    def render(self, *, accept: str, accept_encoding: str) -> MetricsPage:
        """Return the metrics in the format that a client prefers."""
        headers: list[tuple[str, str]] = []

        def start(status: str, given: Sequence[tuple[str, str]]) -> None:
            del status
            headers.extend((name.lower(), value) for name, value in given)

        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/metrics",
            "HTTP_ACCEPT": accept,
            "HTTP_ACCEPT_ENCODING": accept_encoding,
        }
        body = b"".join(self._app(environ, start))
        return MetricsPage(headers=headers, body=body)


def _values(counters: Counters) -> dict[str, _Values]:
    """Return the values of each metric by its name."""
    routes = [*counters.routes.items()]
    stores = [(str(number), one) for number, one in sorted(counters.stores.items())]
    return {
        "pyfly_config_http_requests": {
            (name, str(status)): count
            for name, route in routes
            for status, count in [*route.statuses.items()]
        },
        "pyfly_config_http_request_duration_seconds": {
            (name,): route.durations for name, route in routes
        },
        "pyfly_config_answers": {
            ("hit",): counters.hits,
            ("miss",): counters.misses,
            ("stale",): counters.stale,
        },
        "pyfly_config_answers_rendered": {(): counters.rendered},
        "pyfly_config_answers_broken": {(): counters.broken},
        "pyfly_config_store_looks": {(store,): one.looks for store, one in stores},
        "pyfly_config_store_look_errors": {(store,): one.errors for store, one in stores},
        "pyfly_config_store_last_look_timestamp_seconds": {
            (store,): one.last_look for store, one in stores if one.last_look is not None
        },
        "pyfly_config_watchers": {(): counters.watchers},
        "pyfly_config_watchers_rejected": {(): counters.rejected_watchers},
        "pyfly_config_watcher_wake_seconds": {(): counters.wakes},
        "pyfly_config_workers": {(): counters.processes},
        "pyfly_config_worker_restarts": {(): counters.restarts},
    }


def _family(metric: MetricDescription, values: _Values) -> Metric:
    """Return a metric as the library has it."""
    if metric.kind == "histogram":
        histograms = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in values.items():
            if isinstance(value, Histogram):
                histograms.add_metric(labels, _buckets(value), value.sum)
        return histograms
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        if not isinstance(value, Histogram):
            family.add_metric(labels, value)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Return the cumulative buckets by their bounds."""
    bounds = [*map(str, histogram.bounds), "+Inf"]
    return [*zip(bounds, accumulate(histogram.counts), strict=True)]
