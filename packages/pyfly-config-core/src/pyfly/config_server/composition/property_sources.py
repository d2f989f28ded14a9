"""From bundles to property sources: their order and their names. Reads no store."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pyfly.config_core import ConfigFormatError, ConfigKey, FlatBudget, PropertySource
from pyfly.config_server.composition.activation import is_active
from pyfly.config_server.storage import ConfigDocument, ConfigSource, FlatProperties

_LOG: Final = logging.getLogger(__name__)
_LOGGED: Final = 10
"""The largest number of keys in one line of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSource:
    """A property source and the bundle it came from."""

    source: PropertySource
    key: ConfigKey | None
    """The bundle in a store without files; `None` in a text store, where the name of the property
    source names the file."""
    applications: tuple[str, ...]
    """The application of the bundle; several if its file was found as bundles of several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One document with the parts of the name of its property source."""

    key: ConfigKey
    document: ConfigDocument = field(repr=False)
    resource: str | None
    """The file, without its label."""
    number: int | None
    """The position among the documents of its file; `None` for a single document."""
    applications: tuple[str, ...]
    """The applications of the bundles in which its file was found."""

    @property
    def file_name(self) -> str:
        """The name of its file. A store without files uses the name that a file would have."""
        return self.resource or self.key.stem


def compose_sources(
    bundles: Sequence[ConfigSource],
    profiles: frozenset[str],
    budget: FlatBudget,
    *,
    suffix: str = "",
) -> list[BundleSource]:
    """Return a property source for each active document, the highest precedence first.

    Documents are ordered by profile, then by place, then by application, then as in the bundle. A
    file that is found in several roles counts once, in the lowest role.

    Args:
        bundles: The stored bundles, by profile and then by application, highest precedence first.
        profiles: The requested profiles, for activation conditions.
        budget: The budget of the answer. Inactive documents count, too, because they are
            flattened to read their conditions.
        suffix: The end of all names, which identifies the store.

    Raises:
        ConfigFormatError: A condition cannot be read, or the answer would be too large.
    """
    sources: list[BundleSource] = []
    for part in _by_place(_in_lowest_roles(bundles)):
        flat = _active(part, profiles, budget)
        if flat is not None:
            sources.append(_named(part, flat, suffix))
    return sources


def unique_sources(sources: Iterable[BundleSource]) -> list[BundleSource]:
    """Return the property sources in the same order, each with a unique name.

    A file that was found in several roles counts once, in the lowest role, as in a Spring Cloud
    Config server: if `application-x.yml` is the base file of the application `application-x`, it
    no longer counts for `application` with the profile `x`. Different bundles with the same name,
    such as `a` with the profile `b-c` and `a-b` with `c` in a database, all count. The names of
    the higher ones then include the bundle.

    Args:
        sources: The highest precedence first.
    """
    taken: dict[str, BundleSource] = {}
    for one in reversed([*sources]):
        lower = taken.setdefault(one.source.name, one)
        if lower.key != one.key:
            name = f"{one.source.name} ({one.key})"
            taken.setdefault(name, replace(one, source=replace(one.source, name=name)))
        elif lower.applications != one.applications:
            both = tuple(dict.fromkeys((*lower.applications, *one.applications)))
            taken[one.source.name] = replace(lower, applications=both)
    return [*reversed(taken.values())]


def _in_lowest_roles(bundles: Sequence[ConfigSource]) -> list[_Part]:
    """Return the documents, those of one bundle in reverse order, each file once."""
    parts = [(rank, part) for rank, source in enumerate(bundles) for part in _parts(source)]
    lowest = {part.resource: rank for rank, part in parts}
    kept = [part for rank, part in parts if part.resource is None or lowest[part.resource] == rank]
    if len(kept) == len(parts):
        return kept
    owners: dict[str | None, dict[str, None]] = {}
    for _, part in parts:
        owners.setdefault(part.resource, {})[part.key.application] = None
    return [
        part if part.resource is None else replace(part, applications=(*owners[part.resource],))
        for part in kept
    ]


def _parts(source: ConfigSource) -> Iterator[_Part]:
    """Yield the documents of a bundle in reverse order, numbered within their files."""
    names = [document.resource or source.resource for document in source.content]
    together = Counter(names)
    later: Counter[str | None] = Counter()
    for name, document in zip(reversed(names), reversed(source.content), strict=True):
        later[name] += 1
        number = together[name] - later[name] if together[name] > 1 else None
        yield _Part(
            key=source.key,
            document=document,
            resource=name,
            number=number,
            applications=(source.application,),
        )


def _by_place(parts: list[_Part]) -> list[_Part]:
    """Return the documents of each profile ordered by place, otherwise in the same order."""
    if not any(part.document.place for part in parts):
        return parts
    ranks = {
        profile: rank for rank, profile in enumerate(dict.fromkeys(p.key.profile for p in parts))
    }
    return sorted(parts, key=lambda part: (ranks[part.key.profile], -part.document.place))


def _active(part: _Part, profiles: frozenset[str], budget: FlatBudget) -> FlatProperties | None:
    """Return the flat keys of a document, or `None` if it is not active for these profiles."""
    where = f"{part.key.label}/{part.file_name}"
    try:
        flat = part.document.flat
        flat.charge(budget)
        if flat.conditions and not is_active(flat.conditions, profiles):
            return None
    except ConfigFormatError as error:
        raise error.at(where) from error
    if flat.retired:
        more = ", …" if len(flat.retired) > _LOGGED else ""
        _LOG.warning("%s: left out: %s%s", where, ", ".join(flat.retired[:_LOGGED]), more)
    return flat


def _named(part: _Part, flat: FlatProperties, suffix: str) -> BundleSource:
    directory, slash, file_name = part.file_name.rpartition("/")
    begin = f"{part.key.label}/{directory}{slash}".replace("-", "%2D").replace(",", "%2C")
    number = "" if part.number is None else f" (document #{part.number})"
    source = PropertySource(
        name=f"{begin}{file_name}{number}{suffix}",
        source=dict(flat.values),  # a copy, because the document is shared
        origins=dict(part.document.origins),
    )
    return BundleSource(
        source=source,
        key=None if part.resource else part.key,
        applications=part.applications,
    )
