"""Finding a plain file in the stores of a server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyfly.config_core import check_path, split_names, split_profiles
from pyfly.config_core.limits import MAX_PATH_LENGTH
from pyfly.config_server.composition.budgets import check_lookups
from pyfly.config_server.composition.compositions import ResourceInput
from pyfly.config_server.composition.options import ServerOptions
from pyfly.config_server.composition.store_selection import StoreSelection
from pyfly.config_server.storage import (
    ConfigBackend,
    ConfigResource,
    RequestedNames,
    SupportsResources,
    SupportsSearchLocations,
    ability,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceResult:
    """A plain file and the paths that were tried."""

    resource: ConfigResource | None
    """The file; `None` if no store has it."""
    tried: tuple[tuple[ResourceInput, ...], ...]
    """For each store of the request, the paths in the order in which they were tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """A store with plain files."""

    files: SupportsResources
    search: SupportsSearchLocations | None

    @classmethod
    def of(cls, backend: ConfigBackend) -> "_Store | None":
        files = ability(backend, SupportsResources)
        search = ability(backend, SupportsSearchLocations)
        return None if files is None else cls(files=files, search=search)


class ResourceSearch:
    """Finds plain files.

    Args:
        selection: The stores. Their owner closes them.
        options: The options of the server, with the order of locations.
    """

    def __init__(self, selection: StoreSelection, options: ServerOptions) -> None:
        self._selection = selection
        self._stores = [_Store.of(backend) for backend in selection.stores]
        self._options = options

    async def find(self, application: str, profile: str, label: str, path: str) -> ResourceResult:
        """Return the file with the paths that were tried.

        Raises:
            ConfigError: As `ConfigServer.compose_resource`.
        """
        names = RequestedNames(
            applications=split_names("application", application), profiles=split_profiles(profile)
        )
        check_path(path)
        variants = file_variants(path, names.profiles, self._options.default_profile)
        labels = split_names("label", label)
        check_lookups(profiles=len(variants), labels=len(labels))
        last_first = self._options.reverse_location_order
        stores = [self._stores[position] for position in self._selection.positions(application)]
        tried: list[list[ResourceInput]] = [[] for _ in stores]
        found: ConfigResource | None = None
        for rank, store, one in self._places(stores, labels):
            if store.search is not None:
                found = await store.search.find_resource(
                    one, variants, names, last_first=last_first
                )
                tried[rank] += _searched(one, variants, found)
            else:
                found = await _first(store.files, one, variants, tried[rank])
            if found is not None:
                break
        return ResourceResult(resource=found, tried=tuple(map(tuple, tried)))

    def _places(
        self, stores: Sequence[_Store | None], labels: Sequence[str]
    ) -> Iterator[tuple[int, _Store, str]]:
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


def _searched(
    label: str, variants: Sequence[str], found: ConfigResource | None
) -> list[ResourceInput]:
    """Return what was tried in several directories: every variant, and the opened file.

    A file that is added anywhere may be found earlier, so that the answer depends on all variants.
    """
    tried = [ResourceInput(label=label, path=path, is_present=False) for path in variants]
    if found is not None and found.path is not None:
        tried.append(ResourceInput(label=label, path=found.path, is_present=True))
    return tried


def file_variants(path: str, profiles: Sequence[str], default_profile: str) -> tuple[str, ...]:
    """Return the paths to try, in order, without those that are longer than any path may be.

    >>> file_variants("conf.d/site.conf", ("dev", "eu"), "default")
    ('conf.d/site-dev.conf', 'conf.d/site-eu.conf', 'conf.d/site.conf')
    """
    directory, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    stem, suffix = (stem, dot + extension) if dot else (name, "")
    names = (
        name if profile == default_profile else f"{stem}-{profile}{suffix}" for profile in profiles
    )
    paths = (f"{directory}{slash}{one}" for one in (*names, name))
    return tuple(dict.fromkeys(path for path in paths if len(path) <= MAX_PATH_LENGTH))
