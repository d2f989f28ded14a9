"""What a fetch returns."""

from collections.abc import Iterator, Mapping

from pyfly.config_core import Environment, FlatValue, merge


class ConfigProperties(Mapping[str, FlatValue]):
    """The merged properties of an application: flat keys to values, highest precedence applied.

    An immutable mapping, equal to the plain dict of its content. Lists are taken whole from the
    highest source that has any part of them (contract §4.1).
    """

    __slots__ = ("_values", "label", "name", "profiles", "version")

    def __init__(self, environment: Environment) -> None:
        self._values = merge([source.source for source in environment.property_sources])
        self.name = environment.name
        """The application as asked for."""
        self.profiles = environment.profiles
        """As the server names them."""
        self.label = environment.label
        """The label as asked for."""
        self.version = environment.version
        """Revision of the store, where the server tells it."""

    def __getitem__(self, key: str) -> FlatValue:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} properties)"
