"""The feeds of all stores of a server."""

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from pyfly.config_core import BackendAccessDeniedError, BackendUnavailableError, ConfigKey
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.live.counters import Counters
from pyfly.config_server.live.feed import Feed
from pyfly.config_server.live.feed_group import FeedGroup
from pyfly.config_server.live.inputs import InputKey, Touched, label_of, touched_by
from pyfly.config_server.live.standby_reads import standby_reads
from pyfly.config_server.storage import (
    BundleChange,
    Change,
    ConfigBackend,
    SupportsLabels,
    ability,
    max_staleness,
)

__all__ = ["Feeds", "FeedsObserver"]

_LABEL_SECONDS: Final = 1.0
"""How long a removal waits for the store to say whether the label still exists."""


class FeedsObserver(Protocol):
    """Who uses the changes of all stores. All methods are called in the event loop."""

    def touch(self, touched: Touched) -> None:
        """Note what changes touch."""
        ...

    def recover(self) -> None:
        """Note that a store can be reached again."""
        ...

    def had_label(self, store: int, label: str) -> bool | None:
        """Return whether a label of a store existed for the answers that are kept.

        `None` if no answer depends on it, or if it existed for some of them only.
        """
        ...

    def is_watched(self) -> bool:
        """True if somebody waits for changes."""
        ...


class Feeds:
    """Follows the changes of all stores of a server.

    Args:
        server: The server.
        staleness: Seconds, or `None` for the value of each store; see `LiveOptions`.
        observer: Who uses the changes.
        counters: Counts the looks.
    """

    def __init__(
        self,
        server: ConfigServer,
        *,
        staleness: float | None,
        observer: FeedsObserver,
        counters: Counters,
    ) -> None:
        self._server = server
        self._observer = observer
        self._counters = counters
        self._down: set[int] = set()
        self._labels = [ability(backend, SupportsLabels) for backend in server.backends]
        self.stores: Final = tuple(
            Feed(
                backend,
                partial(self._apply, position),
                max_staleness=staleness or max_staleness(backend),
                is_watched=observer.is_watched,
                note=partial(self._note, position),
            )
            for position, backend in enumerate(server.backends)
        )
        self._all = FeedGroup(self.stores)
        self._groups: dict[tuple[int, ...], FeedGroup] = {}
        self.fresh_until = -math.inf
        """Until this time of the monotonic clock, all stores were looked at lately enough."""

    def start(self) -> None:
        """Begin to look."""
        for feed in self.stores:
            feed.start()

    def hint(self) -> None:
        """Look at every store soon."""
        for feed in self.stores:
            feed.hint()

    async def aclose(self) -> None:
        """End the tasks."""
        await asyncio.gather(*(feed.aclose() for feed in self.stores))

    @property
    def is_down(self) -> bool:
        """True if a store cannot be reached, as far as is known."""
        return self._all.is_down

    @property
    def lag(self) -> float | None:
        """As `FeedGroup.lag`, of all stores."""
        return self._all.lag

    @property
    def away(self) -> list[ConfigBackend]:
        """The stores that cannot be read, as far as is known."""
        pairs = zip(self._server.backends, self.stores, strict=True)
        return [backend for backend, feed in pairs if feed.is_down and not feed.serves_last_state]

    def group(self, application: str) -> FeedGroup:
        """Return the feeds of the stores that answer a request.

        Args:
            application: One name or a comma list, as requested.

        Raises:
            InvalidConfigKeyError: As `ConfigServer.stores_for`.
        """
        positions = self._server.stores_for(application)
        if len(positions) == len(self.stores):
            return self._all
        group = self._groups.get(positions)
        if group is None:
            group = FeedGroup([self.stores[position] for position in positions])
            self._groups[positions] = group
        return group

    async def look(self, *, fresh: bool, group: FeedGroup | None = None) -> bool:
        """Return when all stores of a group, or of the server, were looked at; see `FeedGroup`."""
        if not fresh and time.monotonic() < self.fresh_until:
            return True
        return await (group or self._all).look(fresh=fresh)

    async def wrote(self, key: ConfigKey, *, removed: bool) -> None:
        """Note a write of this process, so that it is visible at once.

        Only a removal asks the store, because a bundle that was saved has a label.
        """
        store = self._server.store_of(key)
        self._observer.touch(touched_by(store, [BundleChange(key=key)]))
        had_label = self._observer.had_label(store, key.label)
        labels = self._labels[store]
        if labels is None or had_label is (not removed):  # the label is there as before
            return
        moved = True
        try:
            with contextlib.suppress(Exception):  # the write itself has an answer already
                async with asyncio.timeout(_LABEL_SECONDS):
                    moved = not removed or not await labels.has_label(key.label)
        finally:
            if moved:
                self._observer.touch(Touched(keys=frozenset({label_of(store, key.label)})))

    async def _apply(self, store: int, changes: Sequence[Change]) -> None:
        moved = await self._moved_labels(store, changes)
        self._observer.touch(touched_by(store, changes) | Touched(keys=moved))

    async def _moved_labels(self, store: int, changes: Sequence[Change]) -> frozenset[InputKey]:
        """Return the labels that came into being, or went, with the changes of bundles.

        Labels that are not known from kept answers are among them: what is composed at this moment
        may have seen them as they were.
        """
        labels = self._labels[store]
        if labels is None:
            return frozenset()
        moved: set[InputKey] = set()
        with standby_reads() as reads:
            for label in {one.key.label for one in changes if isinstance(one, BundleChange)}:
                was_present = self._observer.had_label(store, label)
                if was_present is None or await _is_present(labels, label) != was_present:
                    moved.add(label_of(store, label))
        if reads.since is not None:
            raise BackendUnavailableError("the store is away")
        return frozenset(moved)

    def _note(self, store: int, begun: float | None) -> None:
        """Note that a look has ended, or that one does not end.

        Args:
            store: The position of the store.
            begun: When the look began, in seconds of the wall clock; `None` if it goes on.
        """
        if begun is not None and self.stores[store].asks_store:
            failed = self.stores[store].error is not None
            self._counters.looked(store + 1, begun, error=failed)
        until = min(feed.looked_at + feed.max_staleness for feed in self.stores)
        self.fresh_until = -math.inf if self.is_down else until
        if self.stores[store].is_down:
            self._down.add(store)
        elif store in self._down:
            self._down.remove(store)
            self._observer.recover()


async def _is_present(labels: SupportsLabels, label: str) -> bool | None:
    """Return whether a label exists; `None` if it is refused, which concerns no other label.

    Raises:
        BackendUnavailableError: The store cannot be reached.
    """
    try:
        return await labels.has_label(label)
    except BackendAccessDeniedError:
        return None
