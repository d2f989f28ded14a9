"""What a request needs: rights on everything that it opens. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pyfly.config_core import ConfigKey
from pyfly.config_server.access.principal import Principal
from pyfly.config_server.access.rights import Right
from pyfly.config_server.access.rules import Decision, OpenedFile, Target

__all__ = ["Need", "document_needs", "file_needs", "missing", "owner_needs"]


class Need(NamedTuple):
    """A right on a target."""

    right: Right
    target: Target


def document_needs(
    *, applications: Sequence[str], profiles: Iterable[str], labels: Iterable[str], shared: str
) -> tuple[Need, ...]:
    """Return what a document needs: the right to read each combination of its names.

    What comes with every document needs no right of its own: base bundles, those of the default
    profile, and those of the shared application, unless nothing else is asked for.

    >>> needs = document_needs(
    ...     applications=("application", "orders"),
    ...     profiles=("eu", "prod"),
    ...     labels=("main",),
    ...     shared="application",
    ... )
    >>> [str(need.target) for need in needs]
    ['orders/eu/main', 'orders/prod/main']

    Args:
        applications: The requested applications.
        profiles: The requested profiles.
        labels: The requested labels.
        shared: The application with bundles for all applications.
    """
    profiles, labels = tuple(profiles), tuple(labels)
    own = [one for one in applications if one != shared] or applications
    return tuple(
        Need(Right.READ, ConfigKey(application=application, profile=profile, label=label))
        for label in labels
        for application in own
        for profile in profiles
    )


def owner_needs(right: Right, owners: Iterable[ConfigKey], *, shared: str) -> tuple[Need, ...]:
    """Return what opened bundles need: the right on those that a listing names for their files.

    Args:
        right: The right.
        owners: The bundles.
        shared: The application that comes with every document.
    """
    return tuple(
        Need(right, owner)
        for owner in dict.fromkeys(owners)
        if right is not Right.READ or owner.application != shared
    )


def file_needs(opened: OpenedFile, bundles: Iterable[ConfigKey]) -> tuple[Need, ...]:
    """Return what a plain file needs: the right on its path, and to inspect what it belongs to.

    Args:
        opened: The file.
        bundles: The bundles that the file belongs to.
    """
    return (
        Need(Right.FILES, opened),
        *(Need(Right.INSPECT, bundle) for bundle in dict.fromkeys(bundles)),
    )


def missing(principal: Principal, needs: Iterable[Need]) -> Decision | None:
    """Return the decision about the first need that a principal does not have, or `None`."""
    decisions = (principal.decide(*need) for need in needs)
    return next((one for one in decisions if not one.is_allowed), None)
