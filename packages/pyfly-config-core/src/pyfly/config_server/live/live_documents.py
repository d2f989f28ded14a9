"""Documents that stay ready, for every store."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigError,
    ConfigFormatError,
    ConfigKey,
    ConfigNotFoundError,
    InvalidConfigKeyError,
)
from pyfly.config_server.composition.rendering import UnrenderableError
from pyfly.config_server.composition.representation import DocumentRequest, Representation
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.live.cache import AnswerCache, Entry
from pyfly.config_server.live.counters import Counters
from pyfly.config_server.live.failures import Failures
from pyfly.config_server.live.feeds import Feeds
from pyfly.config_server.live.flights import Flight, Flights
from pyfly.config_server.live.inputs import Touched, input_keys
from pyfly.config_server.live.live_options import LiveOptions
from pyfly.config_server.live.standby import StandbyBackend
from pyfly.config_server.live.standby_reads import standby_reads
from pyfly.config_server.live.watching import ANY_CHANGE, Watching

__all__ = ["Answer", "LiveDocuments"]

_COMPOSE_SECONDS: Final = 5.0
"""How long a request waits for a document, if there is a last good answer."""
_TICK: Final = 0.001
"""A timer may be early by the resolution of the clock."""
_NOTE_SECONDS: Final = 1.0
"""How long a write in another event loop waits until it is noted here."""
_RETRY_SECONDS: Final = 1.0
"""A document that cannot be composed is tried again after this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A document, and how old it is."""

    representation: Representation | None
    """`None` if there is no such plain file."""
    stale_for: float | None = None
    """Seconds since the document was known to be current, if that is not known now: a store
    cannot be reached, or a bundle is broken."""
    entry: Entry | None = field(default=None, repr=False, compare=False)
    """The place of the answer in the cache; `None` if it was not kept."""


class LiveDocuments:
    """Answers requests for documents from memory, and follows the changes of the stores.

    It belongs to one event loop at a time: in another loop it starts anew. It does not close the
    server.

    Args:
        server: The server.
        options: The options.
        counters: Counts what happens here.
    """

    def __init__(
        self,
        server: ConfigServer,
        options: LiveOptions | None = None,
        *,
        counters: Counters | None = None,
    ) -> None:
        self.server: Final = server
        self.options: Final = options or LiveOptions()
        self._standbys = [one for one in server.backends if isinstance(one, StandbyBackend)]
        self.counters: Final = counters or Counters()
        self.ends_connections = False
        """True if the responses to released requests end their connections."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reset()
        server.bundles.on_write(self._wrote)

    def _reset(self) -> None:
        self.watching = Watching(
            self._refresh, limit=self.options.max_watchers, counters=self.counters
        )
        self.batches = 0
        """The number of batches of changes that were noted."""
        self.noticed_at = -math.inf
        """When the last of them was noted, in seconds of the monotonic clock."""
        self.cache = AnswerCache(
            self.options.cache_bytes,
            is_pinned=self.watching.is_watched,
            dropped=self._note_dropped,
        )
        self._failures = Failures()
        self._flights = Flights(self._compose)
        self.feeds = Feeds(
            self.server, staleness=self.options.max_staleness, observer=self, counters=self.counters
        )

    def start(self) -> None:
        """Begin to follow the stores, in the running event loop. Starting twice does nothing."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None:  # a loop that is gone
            self.cache.clear()
            self._reset()
        self._loop = loop
        self.feeds.start()
        self.watching.start()

    @property
    def is_running(self) -> bool:
        """True if the stores are followed in the running event loop."""
        return self._loop is asyncio.get_running_loop()

    def release(self, *, ends_connections: bool = False) -> None:
        """End every wait; later waits end at once.

        Args:
            ends_connections: True if the process ends, so that clients come back on another
                connection.
        """
        self.ends_connections = ends_connections
        self.watching.release()

    async def aclose(self) -> None:
        """Release everybody who waits, and stop following the stores. A request starts it anew."""
        if self._loop is asyncio.get_running_loop():
            self._loop = None
            watching, feeds = self.watching, self.feeds
            self._flights.touch(Touched(everything=True))
            self.cache.clear()
            self._reset()
            await watching.aclose()
            await feeds.aclose()
            self.counters.forget_looks()

    # --- answers ----------------------------------------------------------------------------

    async def get(self, request: DocumentRequest, *, fresh: bool = False) -> Answer:
        """Return the document, or the last good one, marked, if a store or a bundle fails.

        Args:
            request: The document.
            fresh: True for an answer that includes everything that was written before this call,
                by any process. Otherwise the answer may be `max_staleness` old.

        Raises:
            ConfigError: As `ConfigServer.compose`; there is no good answer from before.
        """
        self.start()
        is_looked_at = await self.feeds.look(fresh=fresh)
        entry = self.cache.find(request)
        is_hit = entry is not None and self._is_good(entry)
        answer = await (self._first(request) if entry is None else self._again(request, entry))
        if not is_looked_at and answer.stale_for is None and not self.feeds.is_down:
            answer = replace(answer, stale_for=self.feeds.age)
        if answer.stale_for is not None:
            self.counters.stale += 1
        elif is_hit:
            self.counters.hits += 1
        else:
            self.counters.misses += 1
        return answer

    def _is_good(self, entry: Entry) -> bool:
        """True if an answer is current, or if none can be composed now."""
        is_current = self.cache.is_current(entry)
        return is_current or self.feeds.is_down or not self._may_try(entry)

    async def wait(
        self,
        request: Hashable,
        entity_tag: bytes,
        *,
        seconds: float,
        gone: Callable[[], Coroutine[Any, Any, None]] | None,
    ) -> None:
        """Return when the document may have another entity tag; see `Watching.wait`.

        Args:
            request: A `DocumentRequest`, or `ANY_CHANGE`.
            entity_tag: What the client has.
            seconds: The longest time to wait.
            gone: See `Watching.wait`.

        Raises:
            TooManyWatchersError: There are too many waiting requests.
        """
        if request != ANY_CHANGE:
            document = cast("DocumentRequest", request)
            entry = self.cache.find(document)
            if entry is not None and entry.representation.entity_tag != entity_tag:
                return
            if not self.watching.is_watched(document):
                self._catch_up(document, entry)
        await self.watching.wait(request, entity_tag, seconds=seconds, gone=gone)

    def _catch_up(self, request: DocumentRequest, entry: Entry | None) -> None:
        """Compose a document that changed before somebody waited for it, once somebody does."""
        if entry is None or not self.cache.is_current(entry):
            pause = 0 if entry is None else max(0.0, entry.retry_at - time.monotonic() + _TICK)
            asyncio.get_running_loop().call_later(pause, self.watching.want, [request])

    @property
    def is_degraded(self) -> bool:
        """True if last good answers are served, because a store or a bundle fails."""
        return self.feeds.is_down or any(entry.error is not None for entry in self.cache)

    @property
    def has_answers(self) -> bool:
        """True if there are answers that can be served while a store is down."""
        return len(self.cache) > 0 or any(one.has_records for one in self._standbys)

    def is_ready(self, entry: Entry) -> bool:
        """True if an answer of the cache can be used without waiting for anything."""
        return (
            entry.generation == self.cache.generation and time.monotonic() < self.feeds.fresh_until
        )

    async def _first(self, request: DocumentRequest) -> Answer:
        """Answer a request that has no answer from before.

        Raises:
            BackendUnavailableError: A store that is needed cannot be reached.
        """
        error, may_answer = self.feeds.error, bool(self._standbys)
        if error is not None and self.server.options.fail_on_composite_error and not may_answer:
            raise error
        return await self._flights.join(request)

    def _kept(self, entry: Entry) -> Answer:
        """Return an answer of the cache.

        Raises:
            ConfigFormatError: A bundle is broken, and the options say that this is an error.
        """
        error = entry.error
        if self.options.on_broken == "fail" and isinstance(error, ConfigFormatError):
            kind = UnrenderableError if isinstance(error, UnrenderableError) else ConfigFormatError
            raise kind(str(error))
        return Answer(
            representation=entry.representation, stale_for=self._stale_for(entry), entry=entry
        )

    def _stale_for(self, entry: Entry) -> float | None:
        """Return the seconds since an answer was known to be current; `None` if it is now."""
        outage = self.feeds.outage
        if outage is None and entry.error is None:
            return None
        if self.cache.is_current(entry):
            return outage
        return max(outage or 0.0, time.monotonic() - entry.changed_at)

    # --- composing --------------------------------------------------------------------------

    async def _refresh(self, request: DocumentRequest) -> None:
        """Compose a document for those who wait for it. It is tried again after an outage."""
        if self.feeds.is_down:
            return
        entry = self.cache.find(request)
        if entry is None:
            await self._flights.join(request)
        else:
            await self._again(request, entry)

    def _may_try(self, entry: Entry) -> bool:
        """True if the pause after an error is over."""
        return time.monotonic() >= entry.retry_at

    async def _again(self, request: DocumentRequest, entry: Entry) -> Answer:
        """Return a kept answer, or compose it again if it has changed.

        If that takes too long, it is the last good answer.
        """
        entry.is_used = True
        if self._is_good(entry):
            return self._kept(entry)
        try:
            async with asyncio.timeout(_COMPOSE_SECONDS):
                return await self._flights.join(request)
        except TimeoutError:
            entry = self.cache.find(request) or entry
            if self.cache.is_current(entry):
                return self._kept(entry)
            return self._failed(entry, BackendUnavailableError("the store does not answer"))

    async def _compose(self, request: DocumentRequest, flight: Flight[Answer]) -> Answer:
        before = self.cache.find(request)
        # what is composed before the store has told its changes may miss some later
        may_keep = before is not None or (self.feeds.have_looked and not self.feeds.is_down)
        self.counters.rendered += 1
        try:
            representation, stale_for = await self._represent(request, before)
        except (ConfigNotFoundError, InvalidConfigKeyError):
            self._drop(request, flight)
            raise
        except Exception as error:
            if before is None:
                raise
            return self._fall_back(before, flight, error)
        if representation is None or stale_for is not None:
            self._drop(request, flight)
            return Answer(representation=representation, stale_for=stale_for)
        if may_keep and all(one.is_available for one in representation.inputs):
            return self._keep(request, representation, flight)
        if before is None:
            return Answer(representation=representation)
        return self._fall_back(before, flight, ConfigError("a store was left out"))

    async def _represent(
        self, request: DocumentRequest, before: Entry | None
    ) -> tuple[Representation | None, float | None]:
        """Return a new document, and its age if a standby was read for it.

        Raises:
            BackendUnavailableError: A standby was read, and there is an answer from before, which
                is not older.
        """
        with standby_reads(away=self.feeds.away) as reads:
            try:
                representation = await request.represent(self.server)
            except (ConfigNotFoundError, InvalidConfigKeyError) as error:
                if reads.since is None or before is None:
                    raise
                raise BackendUnavailableError("the store is away") from error
        if reads.since is not None and before is not None:
            raise BackendUnavailableError("the store is away")
        return representation, reads.age

    def _keep(
        self, request: DocumentRequest, representation: Representation, flight: Flight[Answer]
    ) -> Answer:
        before = self.cache.find(request)
        if before is not None and before.sequence > flight.sequence:
            return self._kept(before)
        keys = input_keys(representation)
        is_current = not flight.touched.concerns(keys)
        entry = Entry(
            request=request,
            representation=representation,
            keys=keys,
            sequence=flight.sequence,
            generation=self.cache.generation if is_current else -1,
            changed_at=time.monotonic(),
        )
        if before is not None and before.error is not None:
            self._failures.mended(before.error)
        self.cache.put(entry)
        self.watching.changed(request, representation.entity_tag)
        if not is_current:
            self.watching.want([request])
        return Answer(representation=representation, entry=entry)

    def _drop(self, request: DocumentRequest, flight: Flight[Answer]) -> None:
        """Forget the answer to a request that has none any more."""
        entry = self.cache.find(request)
        if entry is not None and entry.sequence > flight.sequence:
            return
        if entry is not None:
            if entry.error is not None:
                self._failures.mended(entry.error)
            self.cache.discard(entry)
        self.watching.changed(request, None)

    def _fall_back(self, before: Entry, flight: Flight[Answer], error: Exception) -> Answer:
        """Return the newest good answer after a composition that has failed."""
        entry = self.cache.find(before.request) or before
        if entry.sequence > flight.sequence:
            return self._kept(entry)
        return self._failed(entry, error, is_due=flight.touched.concerns(entry.keys))

    def _failed(self, entry: Entry, error: Exception, *, is_due: bool = False) -> Answer:
        """Fall back on the last good answer.

        Args:
            entry: The answer.
            error: Why it could not be composed again.
            is_due: True if something has changed since, so that the next try is due.
        """
        if self.cache.find(entry.request) is entry:
            self._failures.begin(error)
            self._note_dropped(entry)  # of the error before
            self.counters.broken += 1
        entry.error = error.with_traceback(None)  # its frames hold what was composed
        if not is_due:
            entry.retry_at = time.monotonic() + _RETRY_SECONDS
        if self.watching.is_watched(entry.request):
            self._catch_up(entry.request, entry)
        return self._kept(entry)

    def _note_dropped(self, entry: Entry) -> None:
        if entry.error is not None:
            self._failures.end(entry.error)
            self.counters.broken -= 1

    # --- changes ----------------------------------------------------------------------------

    def touch(self, touched: Touched) -> None:
        """Mark the answers that changes touch, and compose those that are waited for."""
        self._flights.touch(touched)
        entries = self.cache.touch(touched, time.monotonic())
        self.watching.want([entry.request for entry in entries])
        self.batches += 1
        self.noticed_at = time.monotonic()
        self.watching.changed(ANY_CHANGE, None)

    def recover(self) -> None:
        """Compose what changed during an outage for those who wait for it."""
        self.watching.want(
            cast("DocumentRequest", one) for one in self.watching.requests if one != ANY_CHANGE
        )

    def had_label(self, store: int, label: str) -> bool | None:
        """Return whether a label existed for the answers here; `None` if that is not known."""
        return self.cache.had_label(store, label)

    def is_watched(self) -> bool:
        """True if somebody waits for a change."""
        return self.watching.count > 0

    async def _wrote(self, key: ConfigKey, removed: bool) -> None:  # noqa: FBT001 - a callback
        """Note a write of this process, in the loop of the feeds."""
        loop = self._loop
        if loop is None:
            return
        if loop is asyncio.get_running_loop():
            await self.feeds.wrote(key, removed=removed)
        elif loop.is_running():
            noting = asyncio.run_coroutine_threadsafe(self.feeds.wrote(key, removed=removed), loop)
            await asyncio.wait([asyncio.wrap_future(noting)], timeout=_NOTE_SECONDS)
        else:
            self._flights.touch(Touched(everything=True))
            self.cache.clear()
