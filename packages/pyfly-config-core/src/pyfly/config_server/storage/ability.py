"""Asking a store what it can do."""

from collections.abc import Callable
from typing import TypeVar, cast

__all__ = ["ability", "default_is_base", "has_base_bundles"]

_Ability = TypeVar("_Ability")


def ability(backend: object, kind: type[_Ability]) -> _Ability | None:
    """Return the object that has an ability of a store, or `None` if the store lacks it.

    A store may have a method `ability(kind)` that says what this instance can: a bucket without
    versions, a read-only copy, a wrapper. Without that method `isinstance` decides. The answer
    may be remembered: a store does not gain or lose abilities while it is open.

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

    A store says so in an attribute of this name, of its class or of the instance. It is `False`
    for a repository laid out as for Spring, where `orders-default.yml` counts only when the
    profile `default` is asked for, by its name or because no profile is named. It is true for a
    store without the attribute.
    """
    return bool(getattr(backend, "default_is_base", True))


def has_base_bundles(backend: object) -> bool:
    """True if the store keeps bundles of `BASE_PROFILE`, which count for every profile.

    A store says so in an attribute of this name, of its class or of the instance. A store without
    the attribute is never asked for such bundles.
    """
    return bool(getattr(backend, "has_base_bundles", False))
