"""Reading one store for a request: from bundles to property sources."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from pyfly.config_core import (
    ConfigFormatError,
    ConfigKey,
    FlatValue,
    PropertySource,
    drop_retired,
    flatten,
)
from pyfly.config_server._order import Lookup
from pyfly.config_server.storage import (
    ConfigBackend,
    ConfigSource,
    SupportsBaseBundles,
    SupportsBatchFetch,
    SupportsLabels,
)

_LOG: Final = logging.getLogger(__name__)

_ACTIVATION: Final = "spring.config.activate."


class StoreReader:
    """Reads one store with the abilities that it has.

    Args:
        backend: The store. Its owner closes it.
        suffix: What the names of its property sources end with; tells stores apart.
    """

    def __init__(self, backend: ConfigBackend, *, suffix: str = "") -> None:
        self._backend = backend
        self._suffix = suffix
        self._labels = backend if isinstance(backend, SupportsLabels) else None
        self._batch = backend if isinstance(backend, SupportsBatchFetch) else None
        self._bases = backend if isinstance(backend, SupportsBaseBundles) else None

    async def read(self, lookup: Lookup) -> list[PropertySource] | None:
        """Return what is stored, highest precedence first; `None` when the label does not exist.

        Raises:
            ConfigFormatError: A stored text that is needed does not parse.
            BackendError: The store failed.
        """
        found = [self._source(s) for s in await self._fetch_many(lookup.keys) if s is not None]
        if self._bases is not None:
            for application in lookup.bases:
                base = await self._bases.fetch_base(application, lookup.label)
                if base is not None:
                    found.append(self._source(base, stem=application))
        if not found and self._labels is not None:
            return found if await self._labels.has_label(lookup.label) else None
        return found

    async def _fetch_many(self, keys: Sequence[ConfigKey]) -> Sequence[ConfigSource | None]:
        if self._batch is not None:
            return await self._batch.fetch_many(keys)
        return await asyncio.gather(
            *(self._backend.fetch(key.application, key.profile, key.label) for key in keys)
        )

    def _source(self, source: ConfigSource, *, stem: str | None = None) -> PropertySource:
        file_name = source.resource or stem or f"{source.application}-{source.profile}"
        label = source.label.replace("-", "%2D").replace(",", "%2C")
        return PropertySource(
            name=f"{label}/{file_name}{self._suffix}",
            source=_flat(source, f"{source.label}/{file_name}"),
        )


def _flat(source: ConfigSource, where: str) -> dict[str, FlatValue]:
    try:
        flat = flatten(source.properties)
    except ConfigFormatError as error:
        raise error.at(where) from error
    if any(key.startswith(_ACTIVATION) for key in flat):
        raise ConfigFormatError(
            "documents with activation conditions cannot be served", where=where
        )
    if retired := drop_retired(flat):
        _LOG.warning("%s: left out: %s", where, ", ".join(retired))
    return flat
