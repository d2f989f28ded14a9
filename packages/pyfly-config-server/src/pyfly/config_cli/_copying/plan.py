"""Which bundle of one store becomes which bundle of another. Pure functions.

Two stores may differ in what counts for every profile: base bundles, where a store has them, and
the bundles of the profile `default`, where a store counts those for every profile. A bundle is
given another profile only where that changes no document; otherwise it is not copied, and the
reason is reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pyfly.config_core import BASE_PROFILE, DEFAULT_PROFILE, ConfigKey

_NO_BASE: Final = "the target keeps no base bundles, and '{}' has bundles of the profile 'default'"
_ONLY_DEFAULT: Final = (
    "it counts for the profile 'default' only, and would count for every profile in the target"
)
_BESIDE_BASE: Final = (
    "it counts for every profile, and would count for the profile 'default' only in the target; "
    "'{}' has base bundles, so it cannot become one"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSemantics:
    """What counts for every profile in a store."""

    has_base_bundles: bool
    default_is_base: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCopy:
    """One bundle of the source and its key in the target."""

    source: ConfigKey
    target: ConfigKey | None
    """`None`: it is not copied."""
    reason: str = ""
    """Why it is not copied."""


def plan_copies(
    keys: Sequence[ConfigKey], *, source: StoreSemantics, target: StoreSemantics
) -> list[PlannedCopy]:
    """Return what to do with every bundle of the source, in the order of `keys`.

    Args:
        keys: All bundles of the source under their labels. With only some of them, a bundle may
            be given another profile although that changes documents.
        source: What counts for every profile in the source.
        target: What counts for every profile in the target.
    """
    based = {key.label for key in keys if key.is_base}
    defaulted = {key.label for key in keys if key.profile == DEFAULT_PROFILE}

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

    return [planned(key) for key in keys]


def _left(key: ConfigKey, reason: str) -> PlannedCopy:
    return PlannedCopy(source=key, target=None, reason=reason.format(key.label))
