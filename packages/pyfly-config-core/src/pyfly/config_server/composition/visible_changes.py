"""The changes of a store that a principal may see."""

from collections.abc import Sequence
from typing import Final

from pyfly.config_core import ConfigKey
from pyfly.config_server.access import OpenedFile, Principal, Right
from pyfly.config_server.storage import (
    BundleChange,
    Change,
    LabelChange,
    ResourceChange,
    SupportsFileOwners,
    ability,
)

__all__ = ["visible_changes"]

_MAX_AGE: Final = 1.0
"""Seconds; the changes themselves are as old."""


async def visible_changes(
    store: object, changes: Sequence[Change], principal: Principal
) -> list[Change]:
    """Return the changes that a principal may see.

    A bundle needs the right to inspect it; a plain file the right to fetch it, and to inspect the
    bundle in it. A store of files names a changed file as every bundle that it can belong to: the
    right is needed on the one that a listing names, too.

    Args:
        store: The store of the changes.
        changes: The changes.
        principal: The principal.

    Raises:
        BackendError: The store failed.
    """
    if principal.may_everywhere(Right.INSPECT) and principal.may_everywhere(Right.FILES):
        return [*changes]
    shown = [change for change in changes if _is_named(change, principal)]
    files = ability(store, SupportsFileOwners)
    if files is None:
        return shown
    keys = [change.key for change in shown if isinstance(change, BundleChange)]
    owners = dict(zip(keys, await files.owners(keys, max_age=_MAX_AGE), strict=True))
    found: list[Change] = []
    for change in shown:
        needed: Sequence[ConfigKey] = ()
        if isinstance(change, BundleChange):
            needed = owners[change.key]
        elif isinstance(change, ResourceChange):
            needed = await files.owners_of_file(change.label, change.path, max_age=_MAX_AGE)
        if all(principal.may(Right.INSPECT, key) for key in needed):
            found.append(change)
    return found


def _is_named(change: Change, principal: Principal) -> bool:
    """True if a principal may know the name of what has changed."""
    match change:
        case BundleChange(key=key):
            return principal.may(Right.INSPECT, key)
        case ResourceChange(label=label, path=path):
            return principal.may(Right.FILES, OpenedFile(label=label, path=path))
        case LabelChange(label=label):
            return principal.may_under(Right.INSPECT, label)
        case _:
            return True
