"""Reading one store for a request: from bundles to property sources."""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pyfly.config_core import (
    ConfigFormatError,
    ConfigKey,
    FlatBudget,
    FlatValue,
    PropertySource,
    drop_retired,
    flatten,
)
from pyfly.config_server.composition.activation import is_active
from pyfly.config_server.composition.budgets import AnswerBudget, is_large, run
from pyfly.config_server.composition.lookups import Lookup
from pyfly.config_server.storage import (
    ConfigBackend,
    ConfigDocument,
    ConfigSnapshot,
    ConfigSource,
    SupportsBatchFetch,
    SupportsLabels,
    SupportsSnapshots,
    ability,
    default_is_base,
    has_base_bundles,
)

_TOGETHER: Final = 16
"""Bundles that are read at the same time, each of which may have 1 MiB."""
_LOG: Final = logging.getLogger(__name__)

_LOGGED: Final = 10
"""Keys that are named in one line of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSource:
    """A property source, and what it was read from."""

    source: PropertySource
    key: ConfigKey | None
    """The bundle, in a store whose bundles have no files; where they have, the name of the
    property source tells which file it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one store holds for one lookup."""

    sources: Sequence[FoundSource] | None
    """The highest precedence first; `None` when the store does not know the label."""
    version: str | None = None
    """The version of the whole, where the store has such versions."""


class StoreReader:
    """Reads one store with the abilities that it has.

    Args:
        backend: The store. Its owner closes it.
        suffix: What the names of its property sources end with; tells stores apart.
    """

    def __init__(self, backend: ConfigBackend, *, suffix: str = "") -> None:
        self._backend = backend
        self._suffix = suffix
        self.default_is_base: Final = default_is_base(backend)
        self._has_base_bundles = has_base_bundles(backend)
        self._labels = ability(backend, SupportsLabels)
        self._batch = ability(backend, SupportsBatchFetch)
        self._snapshots = ability(backend, SupportsSnapshots)

    async def read(self, lookup: Lookup, budget: AnswerBudget) -> Found:
        """Return what is stored; large bundles are composed in a thread.

        Args:
            lookup: What to look for.
            budget: What the answer holds already. Documents that are not active count, too:
                their conditions are among their flat keys.

        Raises:
            ConfigFormatError: A stored text that is needed does not parse, or the answer would
                be too large.
            BackendError: The store failed.
        """
        keys = (*lookup.keys, *lookup.base_keys) if self._has_base_bundles else lookup.keys
        stored = await self._fetch_many(keys, budget)
        bundles = _in_lowest_roles([source for source in stored.sources if source is not None])

        def compose() -> list[FoundSource]:
            return [
                one
                for source in bundles
                for one in self._sources(source, lookup.profiles, budget.flat)
            ]

        large = is_large(one.properties for source in bundles for one in _documents(source))
        found = await run(compose, large=large)
        known = bool(found) or self._labels is None or await self._labels.has_label(lookup.label)
        return Found(sources=found if known else None, version=stored.version)

    async def _fetch_many(self, keys: Sequence[ConfigKey], budget: AnswerBudget) -> ConfigSnapshot:
        """Read a few bundles at a time, but all of a snapshot at once."""
        if self._snapshots is not None:
            snapshot = await self._snapshots.fetch_snapshot(keys)
            budget.take(snapshot.sources)
            return snapshot
        sources: list[ConfigSource | None] = []
        for start in range(0, len(keys), _TOGETHER):
            some = await self._fetch_some(keys[start : start + _TOGETHER])
            budget.take(some)
            sources += some
        return ConfigSnapshot(sources=tuple(sources))

    async def _fetch_some(self, keys: Sequence[ConfigKey]) -> Sequence[ConfigSource | None]:
        if self._batch is not None:
            return await self._batch.fetch_many(keys)
        fetches = (self._backend.fetch(key.application, key.profile, key.label) for key in keys)
        return await asyncio.gather(*fetches)

    def _sources(
        self, source: ConfigSource, profiles: frozenset[str], budget: FlatBudget
    ) -> Iterator[FoundSource]:
        """Yield the active documents of a bundle, the last one first."""
        file_name = source.resource or source.key.stem
        label = source.label.replace("-", "%2D").replace(",", "%2C")
        documents = _documents(source)
        for number, document in reversed([*enumerate(documents)]):
            flat = _flat(document, f"{source.label}/{file_name}", profiles, budget)
            if flat is not None:
                place = f" (document #{number})" if len(documents) > 1 else ""
                named = PropertySource(
                    name=f"{label}/{file_name}{place}{self._suffix}",
                    source=flat,
                    origins=document.origins,
                )
                yield FoundSource(source=named, key=None if source.resource else source.key)


def _in_lowest_roles(bundles: Sequence[ConfigSource]) -> list[ConfigSource]:
    """Leave out a file where it comes again below: it is composed, and counted, once."""
    last = {source.resource: place for place, source in enumerate(bundles)}
    return [
        source
        for place, source in enumerate(bundles)
        if source.resource is None or last[source.resource] == place
    ]


def _documents(source: ConfigSource) -> Sequence[ConfigDocument]:
    return source.documents or (ConfigDocument(properties=source.properties),)


def unique_sources(found: Iterable[FoundSource]) -> list[PropertySource]:
    """Return the property sources, each under a name of its own, in the same order.

    A file that was found in several roles counts once, in the lowest of them, as in a Spring
    Cloud Config server: `application-x.yml` is what the application `application-x` has for
    every profile, and then no longer what `application` has for the profile `x`. Different
    bundles of one name, such as `a` for the profile `b-c` and `a-b` for `c` in a database, all
    count; the names of the higher ones say which bundle they are.

    Args:
        found: What was found, highest precedence first.
    """
    taken: dict[str, FoundSource] = {}
    for one in reversed([*found]):
        known = taken.setdefault(one.source.name, one)
        if known.key != one.key:
            name = f"{one.source.name} ({one.key})"
            taken.setdefault(name, replace(one, source=replace(one.source, name=name)))
    return [one.source for one in reversed(taken.values())]


def _flat(
    document: ConfigDocument, where: str, profiles: frozenset[str], budget: FlatBudget
) -> dict[str, FlatValue] | None:
    """Return a document's flat keys, or `None` when it is not meant for these profiles."""
    try:
        flat = flatten(document.properties, budget)
        if not is_active(flat, profiles):
            return None
    except ConfigFormatError as error:
        raise error.at(where) from error
    if retired := drop_retired(flat):
        more = ", …" if len(retired) > _LOGGED else ""
        _LOG.warning("%s: left out: %s%s", where, ", ".join(retired[:_LOGGED]), more)
    return flat
