"""A cache of listings of object names by prefix."""

import random
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias

from pyfly.config_core import BackendUnavailableError

_REMEMBERED: Final = 4096
_JITTER: Final = 0.2

Names: TypeAlias = frozenset[str]


class _Ask(Protocol):
    """Lists the names that begin with a text, until a deadline of the monotonic clock."""

    def __call__(self, begin: str, *, deadline: float) -> Names: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    names: Names
    fresh_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    began: float
    answer: Future[Names]


class ListingCache:
    """Caches listings. Threads that need the same listing share one request.

    A listing runs in its own thread, so that the caller can read an object at the same time.

    Args:
        ask: Lists the names with a prefix.
        max_staleness: The largest age of a listing in seconds. A random part is subtracted, so
            that processes do not list at the same time.
    """

    def __init__(self, ask: _Ask, *, max_staleness: float) -> None:
        self._ask = ask
        self._max_staleness = max_staleness
        self._listings: OrderedDict[str, _Listing] = OrderedDict()
        self._requests: dict[str, _Request] = {}
        self._guard = threading.Lock()

    def last(self, begin: str) -> Names | None:
        """Return the last listing of any age; `None` without one."""
        with self._guard:
            listing = self._listings.get(begin)
        return None if listing is None else listing.names

    def fresh(self, begin: str) -> Names | None:
        """Return the last listing if it is fresh enough to be used."""
        with self._guard:
            listing = self._listings.get(begin)
            if listing is None or time.monotonic() >= listing.fresh_until:
                return None
            self._listings.move_to_end(begin)
            return listing.names

    def refresh(self, begin: str, *, deadline: float) -> Future[Names]:
        """Start a listing, unless one is running, and return its future."""
        now = time.monotonic()
        with self._guard:
            running = self._requests.get(begin)
            if running is not None and now - running.began < self._max_staleness:
                return running.answer
            request = self._requests[begin] = _Request(began=now, answer=Future())
        work = threading.Thread(
            target=self._list, args=(begin, request, deadline), name="pyfly-config-s3-listing"
        )
        work.daemon = True
        try:
            work.start()
        except RuntimeError:
            self._end(begin, request)
            request.answer.set_exception(BackendUnavailableError("no thread can be started"))
        return request.answer

    def names(self, begin: str, *, deadline: float) -> Names:
        """Return the names with a prefix, at most `max_staleness` old.

        Raises:
            BackendUnavailableError: The store did not answer in time.
        """
        fresh = self.fresh(begin)
        return (
            result_of(self.refresh(begin, deadline=deadline), deadline) if fresh is None else fresh
        )

    def forget(self, begin: str) -> None:
        """List again at the next call, because this process has written such a name."""
        with self._guard:
            self._requests.pop(begin, None)
            if (listing := self._listings.get(begin)) is not None:
                self._listings[begin] = replace(listing, fresh_until=0.0)

    def forget_ending(self, end: str) -> None:
        """List again at the next call, as `forget`, every prefix with this end."""
        with self._guard:
            for begin in [one for one in (*self._requests, *self._listings) if one.endswith(end)]:
                self._requests.pop(begin, None)
                if (listing := self._listings.get(begin)) is not None:
                    self._listings[begin] = replace(listing, fresh_until=0.0)

    def expire(self) -> None:
        """List everything again at the next call, because names have changed somewhere."""
        with self._guard:
            self._requests.clear()
            for begin, listing in self._listings.items():
                self._listings[begin] = replace(listing, fresh_until=0.0)

    def discard(self, begin: str) -> None:
        """Drop a listing that names a missing object."""
        with self._guard:
            self._requests.pop(begin, None)
            self._listings.pop(begin, None)

    def _list(self, begin: str, request: _Request, deadline: float) -> None:
        try:
            names = self._ask(begin, deadline=deadline)
        except BaseException as error:  # noqa: BLE001 - raised where the listing is needed
            self._end(begin, request)
            request.answer.set_exception(error)
            return
        lasting = self._max_staleness * (1 - _JITTER * random.random())  # noqa: S311
        listing = _Listing(names=names, fresh_until=request.began + lasting)
        if self._end(begin, request):  # nothing was written meanwhile
            with self._guard:
                self._listings[begin] = listing
                self._listings.move_to_end(begin)
                while len(self._listings) > _REMEMBERED:
                    self._listings.popitem(last=False)
        request.answer.set_result(names)

    def _end(self, begin: str, request: _Request) -> bool:
        """Remove a request; return true if it was still the current one."""
        with self._guard:
            is_current = self._requests.get(begin) is request
            if is_current:
                del self._requests[begin]
            return is_current


def result_of(answer: Future[Names], deadline: float) -> Names:
    """Wait for a listing.

    Raises:
        BackendUnavailableError: The listing did not end before the deadline.
    """
    try:
        return answer.result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        raise BackendUnavailableError("the store did not answer in time") from None
