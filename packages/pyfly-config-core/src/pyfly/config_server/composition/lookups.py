"""The bundles of an answer and their order: docs/reference/protocol.md, Order."""

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
from pyfly.config_server.storage import RequestedNames


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """The bundles to read under one label, highest precedence first."""

    label: str
    """The label, which must exist."""
    keys: tuple[ConfigKey, ...]
    """The bundles with a profile."""
    profiles: frozenset[str]
    """The requested profiles, for the activation conditions of documents."""
    names: RequestedNames
    """The names in the request, for search locations."""
    base_keys: tuple[ConfigKey, ...]
    """The base bundles, of lower precedence than `keys`."""


def plan_lookups(
    *,
    application: str,
    profile: str,
    label: str,
    shared_application: str = SHARED_APPLICATION,
    base_profile: str | None = DEFAULT_PROFILE,
) -> tuple[Lookup, ...]:
    """Return the lookups of a request, the label of highest precedence first.

    Profiles outrank applications. Among several profiles, applications or labels the last one
    wins. The base profile and the shared application rank lowest.

    >>> [str(key) for key in plan_lookups(application="orders", profile="eu", label="main")[0].keys]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['orders/eu/main', 'application/eu/main',
     'orders/default/main', 'application/default/main']

    Args:
        application: One name or a comma list.
        profile: One name or a comma list.
        label: One name or a comma list.
        shared_application: The application with bundles for all applications.
        base_profile: The profile with bundles for every profile; `None` if every profile counts
            only if it is requested.

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
    names = RequestedNames(applications=asked, profiles=requested)
    return tuple(
        Lookup(
            label=one,
            keys=tuple(
                ConfigKey(application=a, profile=p, label=one)
                for p in profiles
                for a in applications
            ),
            profiles=frozenset(requested),
            names=names,
            base_keys=tuple(
                ConfigKey(application=a, profile=BASE_PROFILE, label=one) for a in applications
            ),
        )
        for one in reversed(labels)
    )
