"""Remembered listings: when they are asked for again, and by how many."""

import threading
import time
from concurrent.futures import wait

import pytest

from pyfly.config_core import BackendUnavailableError
from pyfly.config_s3._listing_cache import ListingCache, result_of

SECONDS = 60.0


def soon() -> float:
    return time.monotonic() + SECONDS


class Store:
    """Counts how often it is asked; may be held up."""

    def __init__(self) -> None:
        self.names = frozenset({"a"})
        self.asked = 0
        self.go = threading.Event()
        self.go.set()

    def ask(self, begin: str, *, deadline: float) -> frozenset[str]:
        self.asked += 1
        names = self.names
        assert self.go.wait(SECONDS)
        return names


def test_a_listing_is_remembered_and_forgotten() -> None:
    store = Store()
    cache = ListingCache(store.ask, max_staleness=600)
    assert cache.last("x") is None
    for _ in range(3):
        assert cache.names("x", deadline=soon()) == {"a"}
    assert store.asked == 1
    store.names = frozenset({"a", "b"})
    cache.forget("x")
    assert cache.fresh("x") is None
    assert cache.last("x") == {"a"}
    assert cache.names("x", deadline=soon()) == {"a", "b"}
    assert store.asked == 2


def test_without_staleness_everybody_asks() -> None:
    store = Store()
    cache = ListingCache(store.ask, max_staleness=0)
    store.go.clear()
    answers = [cache.refresh("x", deadline=soon()) for _ in range(3)]
    store.go.set()
    assert [result_of(answer, soon()) for answer in answers] == [{"a"}] * 3
    assert store.asked == 3


def test_who_asks_at_the_same_time_asks_once_and_may_leave() -> None:
    store = Store()
    cache = ListingCache(store.ask, max_staleness=600)
    store.go.clear()
    first, second = (cache.refresh("x", deadline=soon()) for _ in range(2))
    with pytest.raises(BackendUnavailableError, match="in time"):
        result_of(first, time.monotonic())
    store.go.set()
    assert result_of(second, soon()) == {"a"}
    assert store.asked == 1


def test_what_was_asked_before_a_write_is_not_remembered_after_it() -> None:
    store = Store()
    cache = ListingCache(store.ask, max_staleness=600)
    store.go.clear()
    before = cache.refresh("x", deadline=soon())
    while not store.asked:
        time.sleep(0.001)
    store.names = frozenset({"b"})
    cache.forget("x")
    store.go.set()
    assert result_of(before, soon()) == {"a"}
    assert cache.names("x", deadline=soon()) == {"b"}


def test_a_failure_is_told_and_not_remembered() -> None:
    def fail(begin: str, *, deadline: float) -> frozenset[str]:
        raise OSError(begin)

    cache = ListingCache(fail, max_staleness=600)
    for _ in range(2):
        with pytest.raises(OSError, match="x"):
            cache.names("x", deadline=soon())


def test_only_the_listings_used_last_are_remembered() -> None:
    store = Store()
    cache = ListingCache(store.ask, max_staleness=600)
    answers = [cache.refresh(str(number), deadline=soon()) for number in range(4100)]
    wait(answers)
    kept = sum(cache.last(str(number)) is not None for number in range(4100))
    assert kept == 4096


def test_without_a_thread_the_store_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = Store()
    cache = ListingCache(store.ask, max_staleness=600)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(BackendUnavailableError, match="no thread"):
            cache.names("x", deadline=soon())
    assert cache.names("x", deadline=soon()) == {"a"}
