"""Answers: kept, composed again after a change, or the last good ones."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigError,
    ConfigFormatError,
    ConfigNotFoundError,
    InvalidConfigKeyError,
)
from pyfly.config_server.composition.rendering import UnrenderableError
from pyfly.config_server.composition.representation import DocumentRequest, Representation
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.live.cache import AnswerCache, Entry
from pyfly.config_server.live.counters import Counters
from pyfly.config_server.live.failures import Failures
from pyfly.config_server.live.feed_group import FeedGroup
from pyfly.config_server.live.feeds import Feeds
from pyfly.config_server.live.flights import Flight, Flights
from pyfly.config_server.live.inputs import Touched, input_keys
from pyfly.config_server.live.live_options import LiveOptions
from pyfly.config_server.live.standby import StandbyBackend
from pyfly.config_server.live.standby_reads import standby_reads
from pyfly.config_server.live.watching import Watching

__all__ = ["Answer", "Answers"]

_COMPOSE_SECONDS: Final = 5.0
"""How long a request waits for a document, if there is a last good answer."""
_TICK: Final = 0.001
"""A timer may be early by the resolution of the clock."""
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


class Answers:
    """The answers of one process, in one event loop.

    Args:
        server: Composes documents.
        options: The options of the live layer.
        feeds: Follow the stores.
        watching: The requests that wait for other answers.
        counters: Counts what is composed and what is held back.
    """

    def __init__(
        self,
        server: ConfigServer,
        options: LiveOptions,
        *,
        feeds: Feeds,
        watching: Watching,
        counters: Counters,
    ) -> None:
        self._server = server
        self._options = options
        self._feeds = feeds
        self._watching = watching
        self._counters = counters
        self._standbys = [one for one in server.backends if isinstance(one, StandbyBackend)]
        self._failures = Failures()
        self._flights = Flights(self._compose)
        self.cache: Final = AnswerCache(
            options.cache_bytes, is_pinned=watching.is_watched, dropped=self._note_dropped
        )

    @property
    def exist(self) -> bool:
        """True if there are answers that can be served while a store is down."""
        return len(self.cache) > 0 or any(one.has_records for one in self._standbys)

    def touch(self, touched: Touched) -> None:
        """Mark what changes touch, and compose what is waited for."""
        self._flights.touch(touched)
        entries = self.cache.touch(touched, time.monotonic())
        self._watching.want([entry.request for entry in entries])

    def clear(self) -> None:
        """Drop all answers. What is composed at this moment is not kept as current."""
        self._flights.touch(Touched(everything=True))
        self.cache.clear()

    async def first(self, request: DocumentRequest) -> Answer:
        """Answer a request that has no answer from before.

        Raises:
            BackendUnavailableError: A store that is needed cannot be reached.
        """
        error, may_answer = self._group(request).error, bool(self._standbys)
        if error is not None and self._server.options.fail_on_composite_error and not may_answer:
            raise error
        return await self._flights.join(request)

    async def again(self, request: DocumentRequest, entry: Entry) -> Answer:
        """Return a kept answer, or compose it again if it has changed.

        If that takes too long, it is the last good answer.
        """
        entry.is_used = True
        if self.is_good(entry):
            return self._kept(entry)
        try:
            async with asyncio.timeout(_COMPOSE_SECONDS):
                return await self._flights.join(request)
        except TimeoutError:
            entry = self.cache.find(request) or entry
            if self.cache.is_current(entry):
                return self._kept(entry)
            return self._failed(entry, BackendUnavailableError("the store does not answer"))

    async def refresh(self, request: DocumentRequest) -> None:
        """Compose a document for those who wait for it. It is tried again after an outage."""
        if self._group(request).is_down:
            return
        entry = self.cache.find(request)
        if entry is None:
            await self._flights.join(request)
        else:
            await self.again(request, entry)

    def is_good(self, entry: Entry) -> bool:
        """True if an answer is current, or if none can be composed now."""
        is_current = self.cache.is_current(entry)
        return is_current or self._group(entry.request).is_down or not self._may_try(entry)

    def catch_up(self, request: DocumentRequest, entry: Entry | None) -> None:
        """Compose a document that changed before somebody waited for it, once somebody does."""
        if entry is None or not self.cache.is_current(entry):
            pause = 0 if entry is None else max(0.0, entry.retry_at - time.monotonic() + _TICK)
            asyncio.get_running_loop().call_later(pause, self._watching.want, [request])

    def try_again(self) -> None:
        """End the pause after failures of a store, because it can be reached again."""
        for entry in self.cache:
            if isinstance(entry.error, BackendUnavailableError):
                entry.retry_at = time.monotonic()

    def _kept(self, entry: Entry) -> Answer:
        """Return an answer of the cache.

        Raises:
            ConfigFormatError: A bundle is broken, and the options say that this is an error.
        """
        error = entry.error
        if self._is_error(error):
            kind = UnrenderableError if isinstance(error, UnrenderableError) else ConfigFormatError
            raise kind(str(error))
        return Answer(
            representation=entry.representation, stale_for=self._stale_for(entry), entry=entry
        )

    def _is_error(self, error: Exception | None) -> TypeGuard[ConfigFormatError]:
        """True if the answer is this error, instead of the last good answer."""
        return self._options.on_broken == "fail" and isinstance(error, ConfigFormatError)

    def _stale_for(self, entry: Entry) -> float | None:
        """Return the seconds since an answer was known to be current; `None` if it is now."""
        outage = self._group(entry.request).outage
        if outage is None and entry.error is None:
            return None
        if self.cache.is_current(entry):
            return outage
        return max(outage or 0.0, time.monotonic() - entry.changed_at)

    def _group(self, request: DocumentRequest) -> FeedGroup:
        return self._feeds.group(request.application)

    def _may_try(self, entry: Entry) -> bool:
        """True if the pause after an error is over."""
        return time.monotonic() >= entry.retry_at

    async def _compose(self, request: DocumentRequest, flight: Flight[Answer]) -> Answer:
        before = self.cache.find(request)
        # what is composed before the store has told its changes may miss some later
        group = self._group(request)
        may_keep = before is not None or (group.have_looked and not group.is_down)
        self._counters.rendered += 1
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
            return Answer(representation=representation, stale_for=group.lag)
        return self._fall_back(before, flight, ConfigError("a store was left out"))

    async def _represent(
        self, request: DocumentRequest, before: Entry | None
    ) -> tuple[Representation | None, float | None]:
        """Return a new document, and its age if a standby was read for it.

        Raises:
            BackendUnavailableError: A standby was read, and there is an answer from before, which
                is not older.
        """
        with standby_reads(away=self._feeds.away) as reads:
            try:
                representation = await request.represent(self._server)
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
        self._watching.changed(request, representation.entity_tag)
        if not is_current:
            self._watching.want([request])
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
        self._watching.changed(request, None)

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
            self._failures.begin(error, is_served=not self._is_error(error))
            self._note_dropped(entry)  # of the error before
            self._counters.broken += 1
        entry.error = error.with_traceback(None)  # its frames hold what was composed
        if not is_due:
            entry.retry_at = time.monotonic() + _RETRY_SECONDS
        if self._watching.is_watched(entry.request):
            self.catch_up(entry.request, entry)
        return self._kept(entry)

    def _note_dropped(self, entry: Entry) -> None:
        if entry.error is not None:
            self._failures.end(entry.error)
            self._counters.broken -= 1
