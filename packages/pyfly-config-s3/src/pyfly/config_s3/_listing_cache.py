"""Which objects exist: listings of names that begin alike, remembered for a moment."""

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
    """Remembers listings, and asks once when several threads want the same one.

    A listing runs in a thread of its own, so that the caller can read an object meanwhile.

    Args:
        ask: Lists the names that begin with a text.
        max_staleness: How many seconds a listing is used; a little less, by chance, so that
            processes do not ask all at once.
    """

    def __init__(self, ask: _Ask, *, max_staleness: float) -> None:
        self._ask = ask
        self._max_staleness = max_staleness
        self._listings: OrderedDict[str, _Listing] = OrderedDict()
        self._requests: dict[str, _Request] = {}
        self._guard = threading.Lock()

    def last(self, begin: str) -> Names | None:
        """Return the last listing, however old it is; `None` without one."""
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
        """Begin to list, unless that is under way, and return what will be the listing."""
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
        """Return the names that begin with a text, as they were at most `max_staleness` ago.

        Raises:
            BackendUnavailableError: The store did not answer in time.
        """
        fresh = self.fresh(begin)
        return (
            result_of(self.refresh(begin, deadline=deadline), deadline) if fresh is None else fresh
        )

    def forget(self, begin: str) -> None:
        """List again next time: this process has written a name that begins so."""
        with self._guard:
            self._requests.pop(begin, None)
            if (listing := self._listings.get(begin)) is not None:
                self._listings[begin] = replace(listing, fresh_until=0.0)

    def discard(self, begin: str) -> None:
        """Forget a listing altogether: it names an object that does not exist."""
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
        """Take a request out; return whether it was still the current one."""
        with self._guard:
            is_current = self._requests.get(begin) is request
            if is_current:
                del self._requests[begin]
            return is_current


def result_of(answer: Future[Names], deadline: float) -> Names:
    """Wait for a listing.

    Raises:
        BackendUnavailableError: It was not there at the deadline.
    """
    try:
        return answer.result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        raise BackendUnavailableError("the store did not answer in time") from None
