"""`Counters`: what one server process counts about its work. The standard library only.

An update costs 0.05 to 0.25 microseconds and takes no lock: everything that counts runs in the
event loop. `total` reads the counters of a running loop from any thread. The values of one moment
may then differ by an update; no counter is ever seen going back.

No counter holds an application, a profile, a label, a path or a version.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = [
    "LATENCY_BOUNDS",
    "NO_ROUTE",
    "WAKE_BOUNDS",
    "Counters",
    "Histogram",
    "RouteCounters",
    "StoreCounters",
    "total",
]

LATENCY_BOUNDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""The upper bounds of the buckets for the duration of requests, in seconds."""
WAKE_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""The upper bounds of the buckets from a change to the answer of a watcher, in seconds."""
NO_ROUTE: Final = "none"
"""The route of requests that match no endpoint."""


class Histogram:
    """Observations in buckets. A bound belongs to the bucket below it."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Observations of each bucket, not cumulative; the last is above all bounds."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add(self, other: "Histogram") -> None:
        """Add the observations of another histogram with the same bounds."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class RouteCounters:
    """The requests to one route."""

    __slots__ = ("durations", "statuses")

    def __init__(self) -> None:
        self.statuses: defaultdict[int, int] = defaultdict(int)
        """The number of responses by status."""
        self.durations = Histogram(LATENCY_BOUNDS)


class StoreCounters:
    """The looks for changes at one store."""

    __slots__ = ("errors", "last_look", "looks")

    def __init__(self) -> None:
        self.looks = 0
        """All looks, failed ones included."""
        self.errors = 0
        self.last_look: float | None = None
        """When the last successful look began, in seconds since 1970.

        0 if no look was successful; `None` if this process has not looked at the store.
        """


class Counters:
    """What one process has counted. Use it in one thread, the one of the event loop.

    `hits`, `misses`, `stale`, `rendered`, `rejected_watchers` are counters: add 1. `watchers` and
    `broken` are gauges: set them, or add and subtract.
    """

    __slots__ = (
        "broken",
        "hits",
        "misses",
        "processes",
        "rejected_watchers",
        "rendered",
        "restarts",
        "routes",
        "stale",
        "stores",
        "wakes",
        "watchers",
    )

    def __init__(self) -> None:
        self.restarts = 0
        """Processes that replaced one that had ended by itself."""
        self.processes = 1
        """Processes that run now."""
        self.hits = 0
        """Answers that were taken from the cache."""
        self.misses = 0
        """Answers that had to be rendered for their request."""
        self.stale = 0
        """Answers that were older than allowed, because their store or bundle failed."""
        self.rendered = 0
        """Answers that were rendered, for requests and for watchers."""
        self.rejected_watchers = 0
        """Watch requests that were refused because too many were held."""
        self.watchers = 0
        """Requests that are held now."""
        self.broken = 0
        """Answers that are held back now, because a text that they need does not parse."""
        self.wakes = Histogram(WAKE_BOUNDS)
        self.routes: defaultdict[str, RouteCounters] = defaultdict(RouteCounters)
        self.stores: defaultdict[int, StoreCounters] = defaultdict(StoreCounters)

    def answered(self, route: str, status: int, seconds: float | None) -> None:
        """Count a response.

        Args:
            route: The id of the endpoint, or `NO_ROUTE`. Never a part of a request.
            status: The HTTP status.
            seconds: The duration; `None` for a request that was held, which would hide the others.
        """
        counters = self.routes[route]
        counters.statuses[status] += 1
        if seconds is not None:
            durations = counters.durations
            durations.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1  # 0.06 us for a call less
            durations.sum += seconds

    def looked(self, store: int, started: float, *, error: bool = False) -> None:
        """Count a look for changes at a store.

        Args:
            store: The position of the store, from 1 on.
            started: When the look began, as `time.time()` has it.
            error: True if the store did not answer.
        """
        counters = self.stores[store]
        counters.looks += 1
        if error:
            counters.errors += 1
            counters.last_look = counters.last_look or 0.0
        else:
            counters.last_look = started

    def woke(self, seconds: float) -> None:
        """Count a watcher that was answered because of a change.

        Args:
            seconds: The time from the notice of the change to the answer.
        """
        self.wakes.observe(seconds)

    def forget_gauges(self) -> None:
        """Reset what describes the present, as for a process that has ended."""
        self.processes = self.watchers = self.broken = 0
        self.forget_looks()

    def forget_looks(self) -> None:
        """Forget when stores were looked at, because a reload may have replaced them."""
        for store in self.stores.values():
            store.last_look = None


def total(processes: Iterable[Counters]) -> Counters:
    """Return the counters of several processes as one. Any thread may call it.

    Counters, histograms and `watchers` are sums. `broken` is the largest: the processes serve the
    same stores. `last_look` is the oldest.
    """
    result = Counters()
    result.processes = 0
    for one in processes:
        _add(result, one)
    return result


def _add(result: Counters, one: Counters) -> None:
    result.restarts += one.restarts
    result.processes += one.processes
    result.hits += one.hits
    result.misses += one.misses
    result.stale += one.stale
    result.rendered += one.rendered
    result.rejected_watchers += one.rejected_watchers
    result.watchers += one.watchers
    result.broken = max(result.broken, one.broken)
    result.wakes.add(one.wakes)
    for name, route in [*one.routes.items()]:
        sums = result.routes[name]
        sums.durations.add(route.durations)
        for status, count in [*route.statuses.items()]:
            sums.statuses[status] += count
    for number, store in [*one.stores.items()]:
        whole = result.stores[number]
        whole.looks += store.looks
        whole.errors += store.errors
        looks = [look for look in (whole.last_look, store.last_look) if look is not None]
        whole.last_look = min(looks, default=None)
