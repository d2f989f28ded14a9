"""The stores of a server, and those of them that answer one request."""

from collections.abc import Sequence
from typing import Final

from pyfly.config_core import ConfigKey, InvalidConfigKeyError, split_names
from pyfly.config_server.storage import ConfigBackend, RoutingBackend


class StoreSelection:
    """Selects the stores of a request, by the applications that it asks for.

    Without a `RoutingBackend` these are always all stores.

    Args:
        backends: What the server was made of, the highest precedence first.
        shared_application: The application with bundles for all applications. Beside others it
            decides nothing.
    """

    def __init__(self, backends: Sequence[ConfigBackend], shared_application: str) -> None:
        self._shared_application = shared_application
        self._backends: list[tuple[int, ConfigBackend]] = []
        stores: list[ConfigBackend] = []
        for backend in backends:
            self._backends.append((len(stores), backend))
            stores += backend.stores if isinstance(backend, RoutingBackend) else [backend]
        self.stores: Final = tuple(stores)
        """All stores. Positions count from 0 here."""
        self._all = tuple(range(len(stores)))

    @property
    def ranks(self) -> tuple[int, ...]:
        """For each store, the number of backends of higher precedence."""
        return tuple(rank for rank, positions in enumerate(self.alternatives) for _ in positions)

    @property
    def alternatives(self) -> tuple[tuple[int, ...], ...]:
        """For each backend of the server, the positions of its stores: one serves a request."""
        ends = [*(first for first, _ in self._backends[1:]), len(self.stores)]
        return tuple(
            self._all[first:end] for (first, _), end in zip(self._backends, ends, strict=True)
        )

    def positions(self, application: str) -> tuple[int, ...]:
        """Return the positions of the stores of a request, the highest precedence first.

        Args:
            application: One name or a comma list.

        Raises:
            InvalidConfigKeyError: A name is not acceptable, or the applications are in different
                stores.
        """
        if len(self._backends) == len(self.stores):
            return self._all
        asked = split_names("application", application)
        names = [name for name in asked if name != self._shared_application] or asked
        return tuple(
            first + _one_position(backend, names, application)
            if isinstance(backend, RoutingBackend)
            else first
            for first, backend in self._backends
        )

    def position_of(self, backend: ConfigBackend, key: ConfigKey) -> int:
        """Return the position of the store in which `backend`, one of the server, has a key."""
        first = next(first for first, one in self._backends if one is backend)
        if isinstance(backend, RoutingBackend):
            return first + backend.position_of(key.application)
        return first


def _one_position(backend: RoutingBackend, names: Sequence[str], application: str) -> int:
    positions = {backend.position_of(name) for name in names}
    if len(positions) > 1:
        raise InvalidConfigKeyError(
            "application",
            application,
            "these applications are in different stores; ask for those of one store at a time",
        )
    return positions.pop()
