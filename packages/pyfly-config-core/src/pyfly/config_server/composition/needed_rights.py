"""The rights that requests need, decided on what was opened for their answers."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pyfly.config_core import (
    ConfigError,
    ConfigFormatError,
    ConfigKey,
    InvalidConfigKeyError,
    encode_slashes,
    split_names,
    split_profiles,
)
from pyfly.config_server.access import Need, OpenedFile, Right
from pyfly.config_server.access.needs import document_needs, file_needs, owner_needs
from pyfly.config_server.composition.compositions import ResourceInput, StoreInputs
from pyfly.config_server.composition.representation import Representation
from pyfly.config_server.composition.resource_search import file_variants
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.storage import (
    RequestedNames,
    SupportsFileOwners,
    ability,
    max_staleness,
)

__all__ = [
    "OPENING_RIGHTS",
    "UNKNOWN",
    "AnswerNeeds",
    "DocumentRights",
    "FileRights",
    "NeededRights",
    "listed_otherwise",
    "moved_by",
    "owners_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerNeeds:
    """The rights that an answer needs; the same for every principal."""

    needs: tuple[Need, ...]
    until: float = math.inf
    """The time of the monotonic clock up to which this is known: other files may change which
    bundle a file belongs to."""


UNKNOWN: Final = AnswerNeeds(needs=(), until=-math.inf)
"""Nobody has found out yet what an answer needs."""
OPENING_RIGHTS: Final = (Right.READ, Right.FILES, Right.INSPECT)
"""The rights that answers need."""


class NeededRights(Protocol):
    """The rights that one request needs."""

    def beforehand(self, server: ConfigServer) -> tuple[Need, ...]:
        """Return what the names of the request need, before anything is looked up."""
        ...

    async def of_answer(
        self, server: ConfigServer, answer: Representation | None, *, is_live: bool
    ) -> AnswerNeeds:
        """Return everything that an answer needs.

        Args:
            server: The server that composed it.
            answer: The answer; `None` if there is no such plain file.
            is_live: True if the answer may be as old as `max_staleness`.

        Raises:
            BackendError: A store failed.
        """
        ...

    async def of_failure(self, server: ConfigServer, error: ConfigError) -> tuple[Need, ...]:
        """Return what it needs to be told why there is no answer."""
        ...

    def shown(self, need: Need) -> str:
        """Return the name of a target for those who lack a right on it.

        It says nothing about what exists.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """The names in a request."""

    applications: tuple[str, ...]
    profiles: tuple[str, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, names: tuple[str, str, str | None], server: ConfigServer) -> "_Names":
        application, profiles, label = names
        return cls(
            applications=split_names("application", application),
            profiles=split_profiles(profiles),
            labels=split_names("label", server.default_label if label is None else label),
        )

    def needs(self, server: ConfigServer) -> tuple[Need, ...]:
        return document_needs(
            applications=self.applications,
            profiles=self.profiles,
            labels=self.labels,
            shared=server.options.default_application_name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRights:
    """The rights that a document or a flattened format needs."""

    names: tuple[str, str, str | None]
    """Applications, profiles and labels as requested; `None` for the default label."""

    def beforehand(self, server: ConfigServer) -> tuple[Need, ...]:
        """Return the right to read each combination of the names."""
        return _Names.of(self.names, server).needs(server)

    async def of_answer(
        self, server: ConfigServer, answer: Representation | None, *, is_live: bool
    ) -> AnswerNeeds:
        """Return the right on the names, and on the bundles of others whose files were opened."""
        names = _Names.of(self.names, server)
        inputs = () if answer is None else answer.inputs
        return await _document_needs(server, names, inputs, is_live=is_live)

    async def of_failure(self, server: ConfigServer, error: ConfigError) -> tuple[Need, ...]:
        """Return the right on the bundle of the file that an error names."""
        where = error.where if isinstance(error, ConfigFormatError) else None
        names = _Names.of(self.names, server)
        found: list[ConfigKey] = []
        for label in names.labels if where is not None else ():
            head, path = label + "/", where or ""
            if path.startswith(head):
                found += await _first_owners(server, names, label, path[len(head) :])
        foreign = [key for key in found if key.application not in names.applications]
        shared = server.options.default_application_name
        return (*names.needs(server), *owner_needs(Right.READ, foreign, shared=shared))

    def shown(self, need: Need) -> str:
        """Return the name of a target if it is one of the request, and otherwise the request."""
        (application, profiles, label), target = self.names, need.target
        if isinstance(target, ConfigKey) and target.application in application.split(","):
            return str(target)
        requested = [application, profiles, *([] if label is None else [label])]
        return listed_otherwise("/".join(requested))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRights:
    """The rights that a plain file needs."""

    names: tuple[str, str, str | None]
    """As in `DocumentRights`."""
    path: str
    """The requested path."""

    def beforehand(self, server: ConfigServer) -> tuple[Need, ...]:
        """Return nothing: which file is opened depends on variants and search locations."""
        del server
        return ()

    async def of_answer(
        self, server: ConfigServer, answer: Representation | None, *, is_live: bool
    ) -> AnswerNeeds:
        """Return the rights on the opened file, on the bundle in it and on the values in it."""
        names = _Names.of(self.names, server)
        opened = None if answer is None else _opened(answer.inputs)
        if answer is None or opened is None:
            return AnswerNeeds(needs=await self._tried(server, names))
        position, resource = opened
        bundles: tuple[ConfigKey, ...] = ()
        until = math.inf
        store = ability(server.backends[position], SupportsFileOwners)
        if store is not None:
            age = _max_age(server, position, is_live=is_live)
            until = math.inf if store.has_fixed_owners else time.monotonic() + age
            bundles = await store.owners_of_file(resource.label, resource.path, max_age=age)
        file = OpenedFile(label=resource.label, path=resource.path)
        needs = file_needs(file, bundles)
        if not answer.has_values:
            return AnswerNeeds(needs=needs, until=until)
        document = await _document_needs(server, names, answer.inputs, is_live=is_live)
        return AnswerNeeds(
            needs=tuple(dict.fromkeys((*needs, *document.needs))),
            until=min(until, document.until),
        )

    async def of_failure(self, server: ConfigServer, error: ConfigError) -> tuple[Need, ...]:
        """Return the rights on the paths that were tried, and on the document for their values."""
        names = _Names.of(self.names, server)
        if not isinstance(error, ConfigFormatError):
            return tuple(Need(Right.FILES, file) for file in self._tried_files(server, names))
        return (*await self._tried(server, names), *names.needs(server))

    def shown(self, need: Need) -> str:
        """Return the name of a target: of a file as it was requested, not the opened variant."""
        if need.right is Right.READ:
            return DocumentRights(names=self.names).shown(need)
        label = self.names[2]
        file = self.path if label is None else f"{encode_slashes(label)}/{self.path}"
        return file if need.right is Right.FILES else f"the bundle of the file {file}"

    async def _tried(self, server: ConfigServer, names: _Names) -> tuple[Need, ...]:
        """Return what the tried files need, as if each existed: nobody learns which one does."""
        files = self._tried_files(server, names)
        bundles: list[ConfigKey] = []
        for position in server.stores_for(self.names[0]):
            store = ability(server.backends[position], SupportsFileOwners)
            if store is None:
                continue
            age = max_staleness(server.backends[position])
            for file in files:
                bundles += await store.owners_of_file(file.label, file.path, max_age=age)
        needs = (need for file in files for need in file_needs(file, ()))
        return (*needs, *(Need(Right.INSPECT, bundle) for bundle in dict.fromkeys(bundles)))

    def _tried_files(self, server: ConfigServer, names: _Names) -> list[OpenedFile]:
        variants = file_variants(self.path, names.profiles, server.options.default_profile)
        return [OpenedFile(label=label, path=path) for label in names.labels for path in variants]


def listed_otherwise(name: str) -> str:
    """Return the name of a bundle for those who lack a right on the owner of its file."""
    return f"{name}, because its file is listed as that of another bundle"


async def owners_of(server: ConfigServer, key: ConfigKey) -> tuple[ConfigKey, ...]:
    """Return the bundles that a listing names for the files of a stored bundle, and the bundle.

    Raises:
        BackendError: The store failed.
    """
    store = ability(server.backends[server.store_of(key)], SupportsFileOwners)
    if store is None:
        return (key,)
    (owners,) = await store.owners([key])
    return tuple(dict.fromkeys((key, *owners)))


async def moved_by(
    server: ConfigServer, key: ConfigKey, *, is_removed: bool
) -> tuple[ConfigKey, ...]:
    """Return the bundles that lose a file in a listing when one is made or removed.

    Raises:
        BackendError: The store failed.
    """
    store = ability(server.backends[server.store_of(key)], SupportsFileOwners)
    return () if store is None else await store.owners_moved_by(key, is_removed=is_removed)


async def _document_needs(
    server: ConfigServer, names: _Names, inputs: Iterable[StoreInputs], *, is_live: bool
) -> AnswerNeeds:
    shared, until = server.options.default_application_name, math.inf
    found: list[ConfigKey] = []
    for one in inputs:
        store = ability(server.backends[one.store], SupportsFileOwners)
        present = [bundle.key for bundle in one.bundles if bundle.is_present]
        if store is None or not present:
            continue
        age = _max_age(server, one.store, is_live=is_live)
        if not store.has_fixed_owners:
            until = min(until, time.monotonic() + age)
        found += await _foreign(store, present, names, age)
    needs = (*names.needs(server), *owner_needs(Right.READ, found, shared=shared))
    return AnswerNeeds(needs=needs, until=until)


async def _foreign(
    store: SupportsFileOwners, keys: Sequence[ConfigKey], names: _Names, age: float
) -> list[ConfigKey]:
    """Return what a listing names for the files of bundles, if it is not the bundle itself."""
    requested = RequestedNames(applications=names.applications, profiles=names.profiles)
    owners = await store.owners(keys, requested, max_age=age)
    return [owner for key, some in zip(keys, owners, strict=True) for owner in some if owner != key]


async def _first_owners(
    server: ConfigServer, names: _Names, label: str, path: str
) -> list[ConfigKey]:
    """Return what the listings of the stores of a request name for a file."""
    found: list[ConfigKey] = []
    for position in server.stores_for(",".join(names.applications)):
        store = ability(server.backends[position], SupportsFileOwners)
        if store is None:
            continue
        try:
            found += (await store.owners_of_file(label, path))[:1]
        except InvalidConfigKeyError:  # the error names more than a file
            continue
    return found


def _opened(inputs: Iterable[StoreInputs]) -> tuple[int, ResourceInput] | None:
    return next(
        ((one.store, tried) for one in inputs for tried in one.resources if tried.is_present), None
    )


def _max_age(server: ConfigServer, position: int, *, is_live: bool) -> float:
    return max_staleness(server.backends[position]) if is_live else 0.0
