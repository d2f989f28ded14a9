"""Counters as bytes, for the processes of one server."""

import json
from typing import Any, Final

from pyfly.config_server.live.counters import Counters

__all__ = ["decode_counters", "encode_counters"]

_FORMAT: Final = 1


def encode_counters(counters: Counters) -> bytes:
    """Return everything as bytes for `decode_counters`. Any thread may call it."""
    return json.dumps(
        {
            "format": _FORMAT,
            "processes": [counters.restarts, counters.processes],
            "totals": [counters.hits, counters.misses, counters.stale, counters.rendered],
            "watchers": [counters.rejected_watchers, counters.watchers, counters.broken],
            "wakes": [counters.wakes.counts, counters.wakes.sum],
            "routes": [
                [name, [*one.statuses.items()], one.durations.counts, one.durations.sum]
                for name, one in [*counters.routes.items()]
            ],
            "stores": [
                [number, one.looks, one.errors, one.last_look]
                for number, one in [*counters.stores.items()]
            ],
        },
        separators=(",", ":"),
    ).encode()


def decode_counters(data: bytes) -> Counters:
    """Return what `encode_counters` has described.

    Raises:
        ValueError: Another release has written it.
    """
    found: dict[str, Any] = json.loads(data)
    if found.get("format") != _FORMAT:
        raise ValueError("counters of another release")
    counters = Counters()
    counters.restarts, counters.processes = found["processes"]
    counters.hits, counters.misses, counters.stale, counters.rendered = found["totals"]
    counters.rejected_watchers, counters.watchers, counters.broken = found["watchers"]
    counters.wakes.counts, counters.wakes.sum = found["wakes"]
    for name, statuses, counts, seconds in found["routes"]:
        route = counters.routes[name]
        route.statuses.update(dict(statuses))
        route.durations.counts, route.durations.sum = counts, seconds
    for number, looks, errors, last_look in found["stores"]:
        store = counters.stores[number]
        store.looks, store.errors, store.last_look = looks, errors, last_look
    return counters
