"""The counters of a process, and those of several processes together."""

import json

import pytest

from pyfly.config_server.live.counter_encoding import decode_counters, encode_counters
from pyfly.config_server.live.counters import LATENCY_BOUNDS, NO_ROUTE, Counters, total


def busy() -> Counters:
    """Counters of which each has a value of its own."""
    counters = Counters()
    counters.hits, counters.misses, counters.stale, counters.rendered = 1, 2, 3, 4
    counters.rejected_watchers, counters.watchers, counters.broken = 5, 6, 7
    counters.answered("environment", 200, 0.0004)
    counters.answered("environment", 404, 20.0)
    counters.answered("environment", 304, None)
    counters.answered(NO_ROUTE, 404, 0.0001)
    counters.looked(1, 100.5)
    counters.looked(2, 200.5, error=True)
    counters.woke(0.02)
    return counters


def test_responses_are_counted_by_route_and_status() -> None:
    routes = busy().routes
    assert routes["environment"].statuses == {200: 1, 404: 1, 304: 1}
    assert routes[NO_ROUTE].statuses == {404: 1}


def test_a_duration_on_a_bound_belongs_below_it_and_a_long_one_above_all() -> None:
    routes = busy().routes
    assert routes[NO_ROUTE].durations.counts[0] == 1
    durations = routes["environment"].durations
    assert durations.counts[LATENCY_BOUNDS.index(0.0005)] == 1
    assert durations.counts[-1] == 1
    assert durations.sum == pytest.approx(20.0004)


def test_the_duration_of_a_held_request_is_not_counted() -> None:
    assert sum(busy().routes["environment"].durations.counts) == 2


def test_a_failed_look_does_not_move_the_last_look() -> None:
    counters = busy()
    counters.looked(1, 300.0, error=True)
    first, second = counters.stores[1], counters.stores[2]
    assert (first.looks, first.errors, first.last_look) == (2, 1, 100.5)
    assert (second.looks, second.errors, second.last_look) == (1, 1, 0.0)


def test_counters_survive_their_encoding() -> None:
    data = encode_counters(busy())
    assert encode_counters(decode_counters(data)) == data


def test_counters_of_another_release_are_refused() -> None:
    other = {**json.loads(encode_counters(busy())), "format": 0}
    with pytest.raises(ValueError, match="release"):
        decode_counters(json.dumps(other).encode())


def test_several_processes_count_as_one() -> None:
    other = busy()
    other.looked(1, 50.0)
    other.broken = 1
    whole = total([busy(), other])
    assert (whole.hits, whole.misses, whole.stale, whole.rendered) == (2, 4, 6, 8)
    assert (whole.rejected_watchers, whole.watchers, whole.broken) == (10, 12, 7)
    assert whole.routes["environment"].statuses == {200: 2, 404: 2, 304: 2}
    assert sum(whole.routes["environment"].durations.counts) == 4
    assert (whole.wakes.sum, sum(whole.wakes.counts)) == (pytest.approx(0.04), 2)
    assert (whole.stores[1].looks, whole.stores[1].last_look) == (3, 50.0)
    assert (whole.stores[2].errors, whole.stores[2].last_look) == (2, 0.0)


def test_a_process_without_looks_does_not_hide_those_of_others() -> None:
    fresh = busy()
    fresh.forget_gauges()
    assert fresh.stores[1].last_look is None
    assert (fresh.watchers, fresh.broken, fresh.hits) == (0, 0, 1)
    assert total([fresh, busy(), fresh]).stores[1].last_look == 100.5
    assert total([fresh, busy()]).processes == 1


def test_no_process_has_counted_nothing() -> None:
    nothing = total([])
    assert (nothing.restarts, nothing.processes, nothing.hits) == (0, 0, 0)
    assert not nothing.routes
    assert not nothing.stores
