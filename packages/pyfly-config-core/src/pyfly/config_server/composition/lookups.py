"""Which bundles make up an answer, and in which order: docs/reference/protocol.md, Order."""

from dataclasses import dataclass

from pyfly.config_core import (
    BASE_PROFILE,
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    ConfigKey,
    split_names,
    split_profiles,
)
from pyfly.config_server.composition.budgets import check_lookups


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What to read under one label, highest precedence first."""

    label: str
    """The label, which must exist."""
    keys: tuple[ConfigKey, ...]
    """The bundles to ask for."""
    profiles: frozenset[str]
    """The profiles that were asked for, which conditions in documents are about."""
    base_keys: tuple[ConfigKey, ...]
    """The base bundles, which follow after them."""


def plan_lookups(
    *,
    application: str,
    profile: str,
    label: str,
    shared_application: str = SHARED_APPLICATION,
    base_profile: str | None = DEFAULT_PROFILE,
) -> tuple[Lookup, ...]:
    """Return what to read for a request, the label of highest precedence first.

    Profiles outrank applications; of several profiles, applications or labels the last one
    wins; the base profile ranks below every other, the shared application below every other.

    >>> [str(key) for key in plan_lookups(application="orders", profile="eu", label="main")[0].keys]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['orders/eu/main', 'application/eu/main',
     'orders/default/main', 'application/default/main']

    Args:
        application: One name or a comma list.
        profile: One name or a comma list.
        label: One name or a comma list.
        shared_application: Whose bundles belong to everybody.
        base_profile: Whose bundles belong to every profile; `None` if every profile counts only
            when it is asked for.

    Raises:
        InvalidConfigKeyError: A name is not acceptable, or the names make
            more than 256 lookups.
    """
    asked = split_names("application", application)
    applications = tuple(reversed(dict.fromkeys((shared_application, *asked))))
    requested = split_profiles(profile)
    profiles = tuple(reversed(requested))
    if base_profile is not None:
        profiles = (*(name for name in profiles if name != base_profile), base_profile)
    labels = split_names("label", label)
    check_lookups(applications=len(applications), profiles=len(profiles), labels=len(labels))
    return tuple(
        Lookup(
            label=one,
            keys=tuple(
                ConfigKey(application=a, profile=p, label=one)
                for p in profiles
                for a in applications
            ),
            profiles=frozenset(requested),
            base_keys=tuple(
                ConfigKey(application=a, profile=BASE_PROFILE, label=one) for a in applications
            ),
        )
        for one in reversed(labels)
    )
