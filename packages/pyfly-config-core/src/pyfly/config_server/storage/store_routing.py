"""Several stores as one: the name of an application decides which of them is asked."""

import builtins
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final, TypeVar

from pyfly.config_core import DEFAULT_LABEL, ConfigKey, UnsupportedOperationError
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS, MAX_NAME_LENGTH
from pyfly.config_server.storage.abilities import (
    ConfigBackend,
    SupportsClose,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsHistory,
    SupportsKeys,
)
from pyfly.config_server.storage.ability import ability, default_is_base, has_base_bundles
from pyfly.config_server.storage.name_patterns import ANY, name_matcher
from pyfly.config_server.storage.preconditions import Expected
from pyfly.config_server.storage.values import ConfigEntry, ConfigSource, ConfigVersion

__all__ = ["RoutingBackend", "StoreRoute"]

_Ability = TypeVar("_Ability")
_FORBIDDEN: Final = re.compile(r"[\s/,?\[\]{}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRoute:
    """A store, and the applications that it serves.

    Raises:
        ValueError: There is no pattern, or one is not acceptable.
    """

    backend: ConfigBackend
    applications: tuple[str, ...]
    """Patterns of names. `*` stands for any text, also for none, and for `/` in a name."""

    def __post_init__(self) -> None:
        if not self.applications:
            raise ValueError("a store needs a pattern of applications, such as 'orders*'")
        for pattern in self.applications:
            if not pattern or len(pattern) > MAX_NAME_LENGTH or _FORBIDDEN.search(pattern):
                raise ValueError(
                    f"the pattern {pattern[:MAX_NAME_LENGTH]!r} is not a name of applications in "
                    "which '*' may stand for any text; profiles have no patterns"
                )
            if not pattern.strip(ANY):
                raise ValueError(
                    f"the pattern {pattern!r} matches every application; make this store the main "
                    "one, without patterns"
                )


class RoutingBackend:
    """Several stores, of which one serves an application as a whole.

    The first store with a matching pattern is used, otherwise the main store. `ConfigServer`
    decides for each request: everything of its answer comes from one store, also the bundles that
    all applications share and plain files. Applications of different stores in one request are
    refused.

    As a store, it reads and writes each bundle where the application of the key belongs. Bundles
    that a store has for applications of another one are not visible, and neither are the shared
    bundles of stores other than the one that serves the shared application. Writes need the
    abilities of that store.

    Put wrappers such as `StandbyBackend` around each store, not around this one.

    Args:
        main: The store for all applications that match no pattern.
        routes: The other stores, in the order in which their patterns are tried.

    Raises:
        ValueError: A pattern can never match, because an earlier one matches all its names; there
            is no route; or a store is a `RoutingBackend` itself.
    """

    def __init__(self, main: ConfigBackend, routes: Sequence[StoreRoute]) -> None:
        self.routes: Final = tuple(routes)
        self.stores: Final = (*(route.backend for route in routes), main)
        """All stores: those of the routes, then the main store."""
        if not routes:
            raise ValueError("no store has a pattern; without patterns, use the store itself")
        if any(isinstance(store, RoutingBackend) for store in self.stores):
            raise ValueError("a store of a RoutingBackend cannot be one, too; add its routes here")
        self._matchers = [
            (position, name_matcher(pattern))
            for position, route in enumerate(routes)
            for pattern in route.applications
        ]
        _check_reachable([pattern for route in routes for pattern in route.applications])

    def __repr__(self) -> str:
        return f"RoutingBackend({', '.join(map(repr, self.stores))})"

    def position_of(self, application: str) -> int:
        """Return the position in `stores` of the store that serves an application."""
        found = (position for position, matcher in self._matchers if matcher.fullmatch(application))
        return next(found, len(self.routes))

    def store_of(self, application: str) -> ConfigBackend:
        """Return the store that serves an application."""
        return self.stores[self.position_of(application)]

    def overlaps(self) -> list[tuple[str, str]]:
        """Return the pairs of patterns of different stores that some names match both.

        The first of each pair decides.
        """
        return [
            (one, other)
            for first, second in combinations(self.routes, 2)
            for one in first.applications
            for other in second.applications
            if _overlap(one, other)
        ]

    # --- the store --------------------------------------------------------------------------

    @property
    def default_is_base(self) -> bool:
        """True if it is true for every store; see the function of this name."""
        return all(map(default_is_base, self.stores))

    @property
    def has_base_bundles(self) -> bool:
        """True if it is true for every store; see the function of this name."""
        return all(map(has_base_bundles, self.stores))

    def ability(self, kind: type[_Ability]) -> _Ability | None:
        """Return this store for the abilities that it passes on.

        Keys are listed if every store lists them. Writes and histories are offered if one store
        has them; the others raise `UnsupportedOperationError`.
        """
        if not isinstance(self, kind):
            return None
        if kind is SupportsClose:
            return self
        having = [ability(store, kind) is not None for store in self.stores]
        offered = all(having) if kind is SupportsKeys else any(having)
        return self if offered else None

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return the bundle of the store that serves the application."""
        return await self.store_of(application).fetch(application, profile, label)

    async def save(self, source: ConfigSource) -> None:
        """Store the bundle in the store that serves its application."""
        await self.store_of(source.application).save(source)

    async def list(self) -> builtins.list[ConfigSource]:
        """Return the readable bundles of every store that it serves, in the order of their keys."""
        found = [
            source
            for position, store in enumerate(self.stores)
            for source in await store.list()
            if self.position_of(source.application) == position
        ]
        return sorted(found, key=lambda source: source.key.sort_key)

    async def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield the entries of every store that it serves, in the order of their keys."""
        heads: builtins.list[tuple[ConfigEntry, AsyncIterator[ConfigEntry]]] = []
        for position, store in enumerate(self.stores):
            entries = self._own(position, _able(store, SupportsKeys).keys(label, after=after))
            if (entry := await anext(entries, None)) is not None:
                heads.append((entry, entries))
        while heads:
            index = min(range(len(heads)), key=lambda one: heads[one][0].key.sort_key)
            entry, entries = heads.pop(index)
            yield entry
            if (following := await anext(entries, None)) is not None:
                heads.append((following, entries))

    async def _own(
        self, position: int, entries: AsyncIterator[ConfigEntry]
    ) -> AsyncIterator[ConfigEntry]:
        async for entry in entries:
            if self.position_of(entry.key.application) == position:
                yield entry

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Store the bundle in the store that serves its application, under a condition."""
        store = _able(self.store_of(source.application), SupportsConditionalSave)
        return await store.commit(source, expected=expected, author=author, message=message)

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Remove the bundle from the store that serves its application, under a condition."""
        store = _able(self.store_of(key.application), SupportsDelete)
        await store.delete(key, expected=expected, author=author, message=message)

    async def history(
        self, key: ConfigKey, *, limit: int = DEFAULT_PAGE_ROWS, before: str | None = None
    ) -> builtins.list[ConfigVersion]:
        """Return a page of the history in the store that serves the application."""
        store = _able(self.store_of(key.application), SupportsHistory)
        return await store.history(key, limit=limit, before=before)

    async def fetch_version(self, key: ConfigKey, version: str) -> ConfigSource | None:
        """Return an old version from the store that serves the application."""
        store = _able(self.store_of(key.application), SupportsHistory)
        return await store.fetch_version(key, version)

    async def aclose(self) -> None:
        """Close all stores that can be closed. Closing twice is allowed."""
        async with contextlib.AsyncExitStack() as stack:
            for store in self.stores:
                if (closing := ability(store, SupportsClose)) is not None:
                    stack.push_async_callback(closing.aclose)


_WORDS: Final[dict[type, str]] = {
    SupportsConditionalSave: "conditional saves",
    SupportsDelete: "deleting",
    SupportsHistory: "history",
    SupportsKeys: "a list of keys",
}


def _able(store: ConfigBackend, kind: type[_Ability]) -> _Ability:
    found = ability(store, kind)
    if found is None:
        raise UnsupportedOperationError(type(store).__name__, _WORDS[kind])
    return found


def _check_reachable(patterns: Sequence[str]) -> None:
    """Refuse a pattern whose names all match an earlier one.

    A text in the place of `*` is matched by a `*` only, so it stands for every other text.
    """
    for earlier, pattern in combinations(patterns, 2):
        if name_matcher(earlier).fullmatch(pattern.replace(ANY, "\0")):
            raise ValueError(
                f"the pattern {pattern!r} never decides, because {earlier!r} before it matches the "
                "same names; remove it, or put it first"
            )


@lru_cache(maxsize=65_536)
def _overlap(one: str, other: str) -> bool:
    """True if some text matches both patterns."""
    if not one or not other:
        return not (one + other).strip(ANY)
    if one[0] == ANY:
        return _overlap(one[1:], other) or _overlap(one, other[1:])
    if other[0] == ANY:
        return _overlap(one, other[1:]) or _overlap(one[1:], other)
    return one[0] == other[0] and _overlap(one[1:], other[1:])
