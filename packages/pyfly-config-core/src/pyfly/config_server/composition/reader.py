"""Reading one store for a request."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pyfly.config_core import ConfigKey
from pyfly.config_server.composition.budgets import AnswerBudget, is_large, run
from pyfly.config_server.composition.compositions import BundleInput, LabelInput
from pyfly.config_server.composition.lookups import Lookup
from pyfly.config_server.composition.property_sources import BundleSource, compose_sources
from pyfly.config_server.storage import (
    ConfigBackend,
    ConfigSnapshot,
    ConfigSource,
    RequestedNames,
    SupportsBatchFetch,
    SupportsLabels,
    SupportsSearchLocations,
    SupportsSnapshots,
    ability,
    default_is_base,
    has_base_bundles,
)

_TOGETHER: Final = 16
"""The largest number of bundles that are read at the same time. Each may have 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupResult:
    """The result of one lookup in one store."""

    sources: Sequence[BundleSource]
    """The highest precedence first."""
    label: LabelInput
    """The label that was looked up, which must exist."""
    bundles: tuple[BundleInput, ...]
    """The bundles that were looked up."""


class StoreReader:
    """Reads one store, using the abilities that it has.

    Args:
        backend: The store. Its owner closes it.
        suffix: The end of the names of its property sources, which identifies the store.
    """

    def __init__(self, backend: ConfigBackend, *, suffix: str = "") -> None:
        self._backend = backend
        self._suffix = suffix
        self.default_is_base: Final = default_is_base(backend)
        self._has_base_bundles = has_base_bundles(backend)
        self._labels = ability(backend, SupportsLabels)
        self._batch = ability(backend, SupportsBatchFetch)
        self._snapshots = ability(backend, SupportsSnapshots)
        self._search = ability(backend, SupportsSearchLocations)

    async def read(self, lookup: Lookup, budget: AnswerBudget) -> LookupResult:
        """Return the result of a lookup. Large bundles are flattened in a thread.

        Args:
            lookup: The bundles to read.
            budget: The budget of the answer.

        Raises:
            ConfigFormatError: A stored text that is needed does not parse, or the answer would
                be too large.
            BackendError: The store failed.
        """
        keys = (*lookup.keys, *lookup.base_keys) if self._has_base_bundles else lookup.keys
        stored, known = await self._fetch_in_label(keys, lookup, budget)
        bundles = [source for source in stored.sources if source is not None]
        sources = await run(
            partial(compose_sources, bundles, lookup.profiles, budget.flat, suffix=self._suffix),
            large=_takes_long(bundles),
        )
        return LookupResult(
            sources=sources,
            label=LabelInput(label=lookup.label, is_present=known, version=stored.version),
            bundles=tuple(map(_bundle_input, keys, stored.sources)),
        )

    async def _fetch_in_label(
        self, keys: Sequence[ConfigKey], lookup: Lookup, budget: AnswerBudget
    ) -> tuple[ConfigSnapshot, bool]:
        """Read bundles, and return whether their label exists.

        If there are none, but there is the label, it may have come into being in between, with
        them: they are read again, so that no client gets an empty document of a new label.
        """
        stored = await self._fetch_many(keys, lookup.names, budget)
        if self._labels is None or any(stored.sources):
            return stored, True
        if not await self._labels.has_label(lookup.label):
            return stored, False
        stored = await self._fetch_many(keys, lookup.names, budget)
        return stored, any(stored.sources) or await self._labels.has_label(lookup.label)

    async def _fetch_many(
        self, keys: Sequence[ConfigKey], names: RequestedNames, budget: AnswerBudget
    ) -> ConfigSnapshot:
        """Read a few bundles at a time, or all bundles at once for a snapshot."""
        if self._search is not None:
            found = await self._search.fetch_requested(keys, names)
            budget.take(found.sources)
            return found
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


def _takes_long(bundles: Sequence[ConfigSource]) -> bool:
    """True if flattening the bundles takes too long for the event loop."""
    return is_large(
        document.properties
        for source in bundles
        for document in source.content
        if not document.is_flattened
    )


def _bundle_input(key: ConfigKey, source: ConfigSource | None) -> BundleInput:
    return BundleInput(
        key=key,
        is_present=source is not None,
        version=None if source is None else source.version,
    )
