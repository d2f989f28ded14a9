"""Finding a plain file in the stores of a server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyfly.config_core import check_path, split_names, split_profiles
from pyfly.config_server.composition.budgets import check_lookups
from pyfly.config_server.composition.compositions import ResourceInput
from pyfly.config_server.composition.options import ServerOptions
from pyfly.config_server.composition.store_selection import StoreSelection
from pyfly.config_server.storage import (
    ConfigResource,
    SupportsResources,
    ability,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceResult:
    """A plain file and the paths that were tried."""

    resource: ConfigResource | None
    """The file; `None` if no store has it."""
    tried: tuple[tuple[ResourceInput, ...], ...]
    """For each store of the request, the paths in the order in which they were tried."""


class ResourceSearch:
    """Finds plain files.

    Args:
        selection: The stores. Their owner closes them.
        options: The options of the server, with the order of locations.
    """

    def __init__(self, selection: StoreSelection, options: ServerOptions) -> None:
        self._selection = selection
        self._stores = [ability(backend, SupportsResources) for backend in selection.stores]
        self._options = options

    async def find(self, application: str, profile: str, label: str, path: str) -> ResourceResult:
        """Return the file with the paths that were tried.

        Raises:
            ConfigError: As `ConfigServer.compose_resource`.
        """
        split_names("application", application)
        check_path(path)
        variants = _variants(path, split_profiles(profile), self._options.default_profile)
        labels = split_names("label", label)
        check_lookups(profiles=len(variants), labels=len(labels))
        stores = [self._stores[position] for position in self._selection.positions(application)]
        tried: list[list[ResourceInput]] = [[] for _ in stores]
        found: ConfigResource | None = None
        for rank, store, one in self._places(stores, labels):
            found = await _first(store, one, variants, tried[rank])
            if found is not None:
                break
        return ResourceResult(resource=found, tried=tuple(map(tuple, tried)))

    def _places(
        self, stores: Sequence[SupportsResources | None], labels: Sequence[str]
    ) -> Iterator[tuple[int, SupportsResources, str]]:
        """Yield the rank of a store, the store and a label for each step of the search."""
        places = [
            (rank, store, label)
            for label in reversed(labels)
            for rank, store in enumerate(stores)
            if store is not None
        ]
        yield from reversed(places) if self._options.reverse_location_order else places


async def _first(
    store: SupportsResources, label: str, variants: Sequence[str], tried: list[ResourceInput]
) -> ConfigResource | None:
    """Return the first variant that the store has; add all tried variants to `tried`."""
    for path in variants:
        found = await store.open_resource(label, path)
        tried.append(ResourceInput(label=label, path=path, is_present=found is not None))
        if found is not None:
            return found
    return None


def _variants(path: str, profiles: Sequence[str], default_profile: str) -> tuple[str, ...]:
    """Return the paths to try, in order.

    >>> _variants("conf.d/site.conf", ("dev", "eu"), "default")
    ('conf.d/site-dev.conf', 'conf.d/site-eu.conf', 'conf.d/site.conf')
    """
    directory, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    stem, suffix = (stem, dot + extension) if dot else (name, "")
    names = (
        name if profile == default_profile else f"{stem}-{profile}{suffix}" for profile in profiles
    )
    return tuple(dict.fromkeys(f"{directory}{slash}{one}" for one in (*names, name)))
