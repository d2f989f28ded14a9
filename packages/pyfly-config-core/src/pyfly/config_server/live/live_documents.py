"""Documents that stay ready, for every store."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import replace
from typing import Any, Final, cast

from pyfly.config_core import ConfigKey
from pyfly.config_server.composition.representation import DocumentRequest
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.live.answers import Answer, Answers
from pyfly.config_server.live.cache import Entry
from pyfly.config_server.live.counters import Counters
from pyfly.config_server.live.feeds import Feeds
from pyfly.config_server.live.inputs import Touched
from pyfly.config_server.live.live_options import LiveOptions
from pyfly.config_server.live.watching import ANY_CHANGE, AtEnd, Watching

__all__ = ["LiveDocuments"]

_NOTE_SECONDS: Final = 1.0
"""How long a write in another event loop waits until it is noted here."""


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
        self.counters: Final = counters or Counters()
        self.ends_connections = False
        """True if the responses to released requests end their connections."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._reset()
        server.bundles.on_write(self._wrote)

    def _reset(self) -> None:
        self.batches = 0
        """The number of batches of changes that were noted."""
        self.noticed_at = -math.inf
        """When the last of them was noted, in seconds of the monotonic clock."""
        self.watching = Watching(
            self._refresh, limit=self.options.max_watchers, counters=self.counters
        )
        self.feeds = Feeds(
            self.server, staleness=self.options.max_staleness, observer=self, counters=self.counters
        )
        self.answers = Answers(
            self.server,
            self.options,
            feeds=self.feeds,
            watching=self.watching,
            counters=self.counters,
        )

    async def _refresh(self, request: DocumentRequest) -> None:
        await self.answers.refresh(request)

    def start(self) -> None:
        """Begin to follow the stores, in the running event loop. Starting twice does nothing."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None:  # a loop that is gone
            self.answers.clear()
            self._reset()
        self._loop, self._thread = loop, threading.get_ident()
        self.feeds.start()
        self.watching.start()

    @property
    def is_running(self) -> bool:
        """True if the stores are followed in the running event loop.

        To tell the running loop, Python asks the system for the process each time, which was a
        sixth of an answer from memory. So the loop itself is asked.
        """
        loop = self._loop
        return loop is not None and loop.is_running() and self._thread == threading.get_ident()

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
            self.answers.clear()
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
        group = self.feeds.group(request.application)
        is_looked_at = await self.feeds.look(fresh=fresh, group=group)
        answers = self.answers
        entry = answers.cache.find(request)
        is_hit = entry is not None and answers.is_good(entry)
        answer = await (answers.first(request) if entry is None else answers.again(request, entry))
        if (
            not is_looked_at
            and answer.stale_for is None
            and group.have_looked
            and not group.is_down
        ):
            answer = replace(answer, stale_for=group.age)
        if answer.stale_for is not None:
            self.counters.stale += 1
        elif is_hit:
            self.counters.hits += 1
        else:
            self.counters.misses += 1
        return answer

    async def wait(
        self,
        request: Hashable,
        entity_tag: bytes,
        *,
        seconds: float,
        gone: Callable[[], Coroutine[Any, Any, None]] | None,
        at_end: AtEnd | None = None,
    ) -> None:
        """Return when the document may have another entity tag; see `Watching.wait`.

        Args:
            request: A `DocumentRequest`, or `ANY_CHANGE`.
            entity_tag: What the client has.
            seconds: The longest time to wait.
            gone: See `Watching.wait`.
            at_end: See `Watching.wait`.

        Raises:
            TooManyWatchersError: There are too many waiting requests.
        """
        if request != ANY_CHANGE:
            document = cast("DocumentRequest", request)
            entry = self.answers.cache.find(document)
            if entry is not None and entry.representation.entity_tag != entity_tag:
                return
            if not self.watching.is_watched(document):
                self.answers.catch_up(document, entry)
        await self.watching.wait(request, entity_tag, seconds=seconds, gone=gone, at_end=at_end)

    def look_soon(self) -> None:
        """Look at every store soon, because something may have changed. Calls are joined."""
        self.start()
        self.feeds.hint()

    @property
    def is_degraded(self) -> bool:
        """True if last good answers are served, because a store or a bundle fails."""
        return self.feeds.is_down or any(entry.error is not None for entry in self.answers.cache)

    @property
    def has_answers(self) -> bool:
        """True if there are answers that can be served while a store is down."""
        return self.answers.exist or self.feeds.lag is not None

    def find(self, request: DocumentRequest) -> Entry | None:
        """Return the last good answer, which may be out of date."""
        return self.answers.cache.find(request) if self.is_running else None

    def is_ready(self, entry: Entry) -> bool:
        """True if an answer of the cache can be used without waiting for anything."""
        generation = self.answers.cache.generation
        is_current = entry.generation == generation and time.monotonic() < self.feeds.fresh_until
        return is_current and self.is_running

    def was_ready(self, entry: Entry, since: float) -> bool:
        """True if an answer is or was good for a request that was sent at `since`.

        If it changed meanwhile, the request has it as if it had been answered before that.

        Args:
            entry: An answer of the cache.
            since: Seconds of the monotonic clock.
        """
        if entry.current_until >= since and entry.error is None:
            return self.find(entry.request) is entry  # it was not removed
        return self.is_ready(entry)

    # --- changes ----------------------------------------------------------------------------

    def touch(self, touched: Touched) -> None:
        """Mark the answers that changes touch, and compose those that are waited for."""
        self.answers.touch(touched)
        self.batches += 1
        self.noticed_at = time.monotonic()
        self.watching.changed(ANY_CHANGE, None)

    def recover(self) -> None:
        """Compose what changed during an outage for those who wait for it."""
        self.answers.try_again()
        self.watching.want(
            cast("DocumentRequest", one) for one in self.watching.requests if one != ANY_CHANGE
        )

    def had_label(self, store: int, label: str) -> bool | None:
        """Return whether a label existed for the answers here; `None` if that is not known."""
        return self.answers.cache.had_label(store, label)

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
            self.answers.clear()
