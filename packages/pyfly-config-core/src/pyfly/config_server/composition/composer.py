"""Composing a document from all stores of a server."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from pyfly.config_core import (
    ConfigError,
    ConfigNotFoundError,
    Environment,
    InvalidConfigKeyError,
    PropertySource,
)
from pyfly.config_server.composition.budgets import AnswerBudget
from pyfly.config_server.composition.compositions import Composition, StoreInputs
from pyfly.config_server.composition.lookups import Lookup, plan_lookups
from pyfly.config_server.composition.options import ServerOptions, overrides_source
from pyfly.config_server.composition.property_sources import BundleSource, unique_sources
from pyfly.config_server.composition.reader import LookupResult, StoreReader
from pyfly.config_server.composition.store_selection import StoreSelection

_LOG: Final = logging.getLogger(__name__)

_StoreResult: TypeAlias = "list[LookupResult] | BaseException"
"""The result of a store for each lookup, or its error."""


class Composer:
    """Reads the stores of a server and composes one document.

    Args:
        selection: The stores. Their owner closes them.
        options: The options of composing.
    """

    def __init__(self, selection: StoreSelection, options: ServerOptions) -> None:
        self._selection = selection
        self._options = options
        self._overrides = overrides_source(options.overrides)
        self._readers = tuple(
            StoreReader(backend, suffix=f" (store #{rank})" if rank else "")
            for backend, rank in zip(selection.stores, selection.ranks, strict=True)
        )

    async def compose(
        self, application: str, profile: str, label: str, *, shown_label: str | None
    ) -> Composition:
        """Return the document with all its inputs.

        Args:
            application: One name or a comma list.
            profile: One name or a comma list, the last one highest.
            label: One name or a comma list, the last one highest.
            shown_label: The label in the document.

        Raises:
            ConfigError: As `ConfigServer.compose`.
        """
        plans = self._plans(application, profile, label)
        positions = self._selection.positions(application)
        results = await self._read(plans, positions)
        stores = [result for result in results if not isinstance(result, BaseException)]
        self._check_labels(next(iter(plans.values())), stores)
        sources = unique_sources(
            source for store in stores for found in store for source in found.sources
        )
        if not sources and not self._options.accept_empty:
            raise ConfigNotFoundError("configuration of", application)
        environment = Environment(
            name=application,
            profiles=(profile,),
            label=shown_label,
            version=self._version(stores) if len(positions) == 1 else None,
            property_sources=(*self._overrides, *await self._decrypted(sources)),
        )
        inputs = tuple(map(_inputs, positions, results))
        return Composition(environment=environment, inputs=inputs)

    def _plans(self, application: str, profile: str, label: str) -> dict[bool, tuple[Lookup, ...]]:
        """Return the lookups for both values of the stores' `default_is_base`."""
        options = self._options
        return {
            default_is_base: plan_lookups(
                application=application,
                profile=profile,
                label=label,
                shared_application=options.default_application_name,
                base_profile=options.default_profile if default_is_base else None,
            )
            for default_is_base in {reader.default_is_base for reader in self._readers}
        }

    async def _read(
        self, plans: Mapping[bool, Sequence[Lookup]], positions: Sequence[int]
    ) -> list[_StoreResult]:
        """Return the results of the stores at `positions` for every lookup."""
        budget = AnswerBudget()
        readers = [self._readers[position] for position in positions]
        reads = [_read_store(reader, plans[reader.default_is_base], budget) for reader in readers]
        if len(reads) == 1:
            return [await reads[0]]
        results = await asyncio.gather(*reads, return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        refused = [one for one in failures if isinstance(one, InvalidConfigKeyError)]
        if refused:  # not the store is at fault but the request
            raise refused[0]
        is_strict = self._options.fail_on_composite_error
        if not is_strict:
            for position, result in zip(positions, results, strict=True):
                backend = self._selection.stores[position]
                if isinstance(result, BaseException):
                    what = str(result) if isinstance(result, ConfigError) else type(result).__name__
                    _LOG.error("left out: %s: %s", type(backend).__name__, what)
        if failures and (is_strict or len(failures) == len(results)):
            raise failures[0]
        return results

    def _check_labels(
        self, lookups: Sequence[Lookup], stores: Sequence[Sequence[LookupResult]]
    ) -> None:
        """Refuse a label that does not exist in any store."""
        unknown = [
            lookup.label
            for position, lookup in enumerate(lookups)
            if not any(store[position].label.is_present for store in stores)
        ]
        may_continue = self._options.continue_on_label_failure and len(unknown) < len(lookups)
        if unknown and not may_continue:
            raise ConfigNotFoundError("label", unknown[-1])

    async def _decrypted(self, found: list[BundleSource]) -> list[PropertySource]:
        encryption = self._options.encryption
        sources = [one.source for one in found]
        if not encryption.concerns(sources):
            return sources
        encryption.check_amount(sources)
        owners = [one.applications for one in found]
        return await asyncio.to_thread(encryption.decrypt, sources, owners)  # RSA is slow

    def _version(self, stores: Sequence[Sequence[LookupResult]]) -> str | None:
        """Return the versions of the labels that exist, in the order of the request."""
        labels = [found.label for found in reversed(stores[0])]
        versions = (label.version for label in labels if label.is_present)
        joined = ",".join(version for version in versions if version is not None)
        return joined or self._options.version


async def _read_store(
    reader: StoreReader, lookups: Sequence[Lookup], budget: AnswerBudget
) -> list[LookupResult]:
    return [await reader.read(lookup, budget) for lookup in lookups]


def _inputs(store: int, result: _StoreResult) -> StoreInputs:
    if isinstance(result, BaseException):
        return StoreInputs(store=store, is_available=False)
    return StoreInputs(
        store=store,
        labels=tuple(found.label for found in result),
        bundles=tuple(bundle for found in result for bundle in found.bundles),
    )
