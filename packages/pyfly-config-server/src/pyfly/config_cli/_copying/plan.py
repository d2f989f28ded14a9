"""Planning a copy: the key of each bundle in the target. Pure functions.

Two stores may have different bundles for every profile: base bundles, if a store has them, and
bundles of the profile `default`, if a store counts them for every profile. A bundle gets another
profile only if that changes no document; otherwise it is not copied, and the reason is reported.

Two stores may also read names differently. In files, `a-b.yaml` is both the bundle of `a` for the
profile `b` and the base bundle of `a-b`; in other stores these are two bundles. If a request for
names in the source would get another answer, the bundle is not copied, either.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pyfly.config_core import BASE_PROFILE, DEFAULT_PROFILE, SHARED_APPLICATION, ConfigKey
from pyfly.config_server.files import LabelsLayout

_NO_BASE: Final = "the target keeps no base bundles, and '{}' has bundles of the profile 'default'"
_ONLY_DEFAULT: Final = (
    "it counts for the profile 'default' only, and would count for every profile in the target"
)
_BESIDE_BASE: Final = (
    "it counts for every profile, and would count for the profile 'default' only in the target; "
    "'{}' has base bundles, so it cannot become one"
)
_READ_IN_SOURCE: Final = (
    "its file is read as '{}', too, and the target would have it under one of the names only; "
    "store it with 'put' under the name that is meant"
)
_READ_IN_TARGET: Final = "the target would read its file as '{}', too"
_LAYOUT: Final = LabelsLayout()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSemantics:
    """The bundles that count for every profile in a store, and the meaning of names."""

    has_base_bundles: bool
    default_is_base: bool
    names_files: bool = False
    """True if a bundle is found by the name of its file, which other bundles may share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCopy:
    """One bundle of the source and its key in the target."""

    source: ConfigKey
    target: ConfigKey | None
    """`None` if it is not copied."""
    reason: str = ""
    """The reason why it is not copied."""


def plan_copies(
    keys: Sequence[ConfigKey], *, source: StoreSemantics, target: StoreSemantics
) -> list[PlannedCopy]:
    """Return the plan for every bundle of the source, in the order of `keys`.

    Args:
        keys: All bundles of the source under their labels. With only some of them, a new profile
            of a bundle may change documents.
        source: The semantics of the source.
        target: The semantics of the target.
    """
    names = _names(keys)
    read = [one for key in keys for one in _readings(key, names[key.label], source)]
    based = {key.label for key in read if key.is_base}
    defaulted = {key.label for key in read if key.profile == DEFAULT_PROFILE}

    def planned(key: ConfigKey) -> PlannedCopy:
        if key.is_base and not target.has_base_bundles:
            if source.default_is_base and key.label in defaulted:
                return _left(key, _NO_BASE)
            return PlannedCopy(source=key, target=replace(key, profile=DEFAULT_PROFILE))
        if key.profile == DEFAULT_PROFILE and source.default_is_base != target.default_is_base:
            if target.default_is_base:
                return _left(key, _ONLY_DEFAULT)
            if key.label in based:
                return _left(key, _BESIDE_BASE)
            return PlannedCopy(source=key, target=replace(key, profile=BASE_PROFILE))
        return PlannedCopy(source=key, target=key)

    return [
        _unless_misread(planned(key), names[key.label], source=source, target=target)
        for key in keys
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _LabelNames:
    """The names in requests under one label."""

    applications: Collection[str]
    profiles: Collection[str]


def _names(keys: Sequence[ConfigKey]) -> dict[str, _LabelNames]:
    applications: dict[str, set[str]] = {}
    profiles: dict[str, set[str]] = {}
    for key in keys:
        applications.setdefault(key.label, {SHARED_APPLICATION}).add(key.application)
        profiles.setdefault(key.label, {BASE_PROFILE, DEFAULT_PROFILE}).add(key.profile)
    return {
        label: _LabelNames(applications=applications[label], profiles=profiles[label])
        for label in applications
    }


def _unless_misread(
    copy: PlannedCopy, names: _LabelNames, *, source: StoreSemantics, target: StoreSemantics
) -> PlannedCopy:
    """Return a copy, or the reason against it: a request would get another answer."""
    if copy.target is None:
        return copy
    any_profile = source.names_files and copy.source.is_base
    before, after = (
        {_level(one, store) for one in _readings(key, names, store, any_profile=any_profile)}
        for key, store in ((copy.source, source), (copy.target, target))
    )
    for other in sorted(before - after, key=str):
        return _left(copy.source, _READ_IN_SOURCE, other)
    for other in sorted(after - before, key=str):
        return _left(copy.source, _READ_IN_TARGET, other)
    return copy


def _readings(
    key: ConfigKey, names: _LabelNames, store: StoreSemantics, *, any_profile: bool = False
) -> set[ConfigKey]:
    """Return every name under which requests read a bundle.

    Args:
        key: The bundle.
        names: The names in requests.
        store: The semantics of its store.
        any_profile: True to include unknown profiles of known applications: the file of a base
            bundle `a-b` may be the only file of a profile `b`.
    """
    if not store.names_files:
        return {key}
    return {key} | {
        one
        for one in _LAYOUT.readings(key.label, f"{key.stem}{_LAYOUT.new_suffix}")
        if one.application in names.applications and (any_profile or one.profile in names.profiles)
    }


def _level(key: ConfigKey, store: StoreSemantics) -> ConfigKey:
    """Return a bundle that counts for every profile as a base bundle."""
    is_common = store.default_is_base and key.profile == DEFAULT_PROFILE
    return replace(key, profile=BASE_PROFILE) if is_common else key


def _left(key: ConfigKey, reason: str, other: object = None) -> PlannedCopy:
    text = reason.format(key.label if other is None else other)
    return PlannedCopy(source=key, target=None, reason=text)
