"""The base class of stores around another store: caches, instruments, read-only views."""

import builtins
from typing import TypeVar

from pyfly.config_core import DEFAULT_LABEL, UnsupportedOperationError
from pyfly.config_server.storage.abilities import ConfigBackend
from pyfly.config_server.storage.ability import (
    ability,
    default_is_base,
    has_base_bundles,
    max_staleness,
)
from pyfly.config_server.storage.values import ConfigSource

__all__ = ["WrapperBackend"]

_Ability = TypeVar("_Ability")


class WrapperBackend:
    """A store that passes all calls to another store. Subclasses override what they change.

    It has the abilities of the other store. `ability` returns the subclass if it defines all
    methods of the ability, and otherwise the object of the other store. Therefore a subclass that
    changes the result of `fetch` must also define the methods of every ability that reads
    bundles, or override `ability` to return `None` for it. `WrapperConformance` of
    `pyfly.config_server.testing` finds missing methods.

    ```python
    class ReadOnlyBackend(WrapperBackend):
        def ability(self, kind: type[A]) -> A | None:
            if kind in {SupportsConditionalSave, SupportsDelete}:
                return None
            return super().ability(kind)

        async def save(self, source: ConfigSource) -> None:
            raise UnsupportedOperationError("a read-only store", "saving")


    class CountingBackend(WrapperBackend):
        async def fetch_many(self, keys: Sequence[ConfigKey]) -> list[ConfigSource | None]:
            self.count += len(keys)
            return await self.inner(SupportsBatchFetch).fetch_many(keys)
    ```

    Args:
        backend: The store that does the work. Closing the wrapper closes it.
    """

    def __init__(self, backend: ConfigBackend) -> None:
        self.wrapped = backend

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.wrapped!r})"

    @property
    def default_is_base(self) -> bool:
        """The value of the other store; see the function of this name."""
        return default_is_base(self.wrapped)

    @property
    def has_base_bundles(self) -> bool:
        """The value of the other store; see the function of this name."""
        return has_base_bundles(self.wrapped)

    @property
    def max_staleness(self) -> float:
        """The value of the other store; see the function of this name."""
        return max_staleness(self.wrapped)

    def ability(self, kind: type[_Ability]) -> _Ability | None:
        """Return the object that has an ability, or `None` if the other store lacks it."""
        found = ability(self.wrapped, kind)
        return self if found is not None and isinstance(self, kind) else found

    def inner(self, kind: type[_Ability]) -> _Ability:
        """Return the object that has an ability in the other store, for methods of a subclass.

        The other store may be a wrapper itself: it then has the ability without the methods.

        Raises:
            UnsupportedOperationError: The other store lacks the ability.
        """
        found = ability(self.wrapped, kind)
        if found is None:
            raise UnsupportedOperationError(type(self.wrapped).__name__, kind.__name__)
        return found

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return what the other store returns."""
        return await self.wrapped.fetch(application, profile, label)

    async def save(self, source: ConfigSource) -> None:
        """Store the source in the other store."""
        await self.wrapped.save(source)

    async def list(self) -> builtins.list[ConfigSource]:
        """Return what the other store returns."""
        return await self.wrapped.list()
