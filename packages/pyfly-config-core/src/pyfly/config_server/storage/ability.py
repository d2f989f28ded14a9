"""Finding the abilities of a store."""

from collections.abc import Callable
from typing import TypeVar, cast

__all__ = ["ability", "default_is_base", "has_base_bundles", "max_staleness"]

_Ability = TypeVar("_Ability")


def ability(backend: object, kind: type[_Ability]) -> _Ability | None:
    """Return the object that has an ability of a store, or `None` if the store lacks it.

    A store may have a method `ability(kind)` for the abilities of this instance: a bucket without
    versions, a read-only copy, a wrapper. Without that method `isinstance` decides. The result
    may be kept: a store does not gain or lose abilities while it is open.

    >>> from pyfly.config_server import InMemoryConfigBackend
    >>> from pyfly.config_server.storage import SupportsDelete, SupportsUpgrade
    >>> backend = InMemoryConfigBackend()
    >>> ability(backend, SupportsDelete) is backend
    True
    >>> ability(backend, SupportsUpgrade) is None
    True

    Args:
        backend: A store.
        kind: One of the `Supports…` Protocols.
    """
    own = getattr(backend, "ability", None)
    if own is not None:
        return cast("Callable[[type[_Ability]], _Ability | None]", own)(kind)
    return backend if isinstance(backend, kind) else None


def default_is_base(backend: object) -> bool:
    """True if the bundles of the profile `default` count for every profile.

    A store or its class may have an attribute of this name; without it, the result is true. It is
    false for the layout of Spring, where `orders-default.yml` counts only if the profile
    `default` is requested, by its name or because no profile is named.
    """
    return bool(getattr(backend, "default_is_base", True))


def has_base_bundles(backend: object) -> bool:
    """True if the store keeps bundles of `BASE_PROFILE`, which count for every profile.

    A store or its class may have an attribute of this name; without it, the result is false and
    such bundles are never fetched.
    """
    return bool(getattr(backend, "has_base_bundles", False))


def max_staleness(backend: object) -> float:
    """Return how old an answer may be while the store can be reached, in seconds.

    A store or its class may have an attribute of this name; without it, the result is 1. It is
    larger for stores where looking for changes is slow or costs money.
    """
    return float(getattr(backend, "max_staleness", 1.0))
