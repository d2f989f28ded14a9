"""Comparing the stored bundles of two stores, for requests with lists of names.

A request uses the bundles of its profiles, then the levels of bundles for every profile: the
bundles of `default` if a store counts them for every profile, and the base bundles below them. If
two stores have the same bundles for every profile, and the same levels that are not empty, they
answer every list of applications and profiles in the same way.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

from pyfly.config_core import (
    BASE_PROFILE,
    DEFAULT_PROFILE,
    BackendAccessDeniedError,
    ConfigFormatError,
)
from pyfly.config_server import Bundles, ConfigSource
from pyfly.config_server.formats.text import same_tree
from pyfly.config_server.storage import default_is_base, has_base_bundles

_Content: TypeAlias = Sequence[Mapping[str, object]] | str
"""The flat keys of every document of a bundle, or the reason why it cannot be read."""
_Level: TypeAlias = dict[str, _Content]
"""Application to content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLevels:
    """The bundles of a store under one label."""

    profiles: Mapping[str, _Level]
    """The bundles that count only if their profile is requested."""
    common: Sequence[_Level]
    """The bundles for every profile, the highest level first, without empty levels."""


async def load_levels(
    bundles: Bundles, label: str, *, applications: Collection[str], profiles: Collection[str]
) -> StoredLevels:
    """Read the bundles of some applications in some profiles.

    Raises:
        BackendError: The store failed.
    """
    counts_default = default_is_base(bundles.backend)
    found: dict[str, _Level] = {}
    for profile in (DEFAULT_PROFILE, BASE_PROFILE, *profiles):
        if profile in found or (profile == BASE_PROFILE and not has_base_bundles(bundles.backend)):
            continue
        found[profile] = {
            application: content
            for application in applications
            if (content := await _content(bundles, application, profile, label)) is not None
        }
    common = (DEFAULT_PROFILE, BASE_PROFILE) if counts_default else (BASE_PROFILE,)
    return StoredLevels(
        profiles={name: level for name, level in found.items() if name not in common},
        common=[found[name] for name in common if found.get(name)],
    )


def differing_bundles(one: StoredLevels, other: StoredLevels) -> Iterator[tuple[str, str]]:
    """Yield application and profile of each difference; `-` for bundles for every profile."""
    for profile in sorted(one.profiles.keys() | other.profiles.keys()):
        mine, theirs = one.profiles.get(profile, {}), other.profiles.get(profile, {})
        for application in _differing(mine, theirs):
            yield application, profile
    seen: set[str] = set()
    nothing: _Level = {}
    for mine, theirs in zip_longest(one.common, other.common, fillvalue=nothing):
        for application in _differing(mine, theirs):
            if application not in seen:
                seen.add(application)
                yield application, BASE_PROFILE


def _differing(one: _Level, other: _Level) -> list[str]:
    names = sorted(one.keys() | other.keys())
    return [name for name in names if not _same(one.get(name), other.get(name))]


def _same(one: _Content | None, other: _Content | None) -> bool:
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        return one == other
    return len(one) == len(other) and all(map(same_tree, one, other))


async def _content(bundles: Bundles, application: str, profile: str, label: str) -> _Content | None:
    try:
        source = await bundles.backend.fetch(application, profile, label)
        return None if source is None else _flat(source)
    except (ConfigFormatError, BackendAccessDeniedError) as error:
        return str(error)


def _flat(source: ConfigSource) -> list[Mapping[str, object]]:
    return [document.flat.values for document in source.content]
