"""What a fetch returns."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar, cast, overload

from pyfly.config_client._result.facts import Facts, LoadedFrom
from pyfly.config_client._result.layers import competes, cut, inside, resolve, source_of
from pyfly.config_client._result.names import below, from_variables, relaxed, variable
from pyfly.config_client.errors import MissingPropertyError, PropertyTypeError
from pyfly.config_core import (
    DEFAULT_PROFILE,
    ConfigFormatError,
    FlatValue,
    JsonValue,
    PropertySource,
    merge,
    rebuild,
)

if TYPE_CHECKING:
    from datetime import timedelta

    from pyfly.config_client._result.origin import Explanation, Origin

T = TypeVar("T")
D = TypeVar("D")

_REQUIRED: Final = object()


class Properties(Mapping[str, FlatValue]):
    """The merged properties of an application: flat keys to values, highest precedence applied.

    An immutable mapping, equal to the plain dict of its content. Lists are taken whole from the
    highest source that has any part of them (contract §4.1). Placeholders `${key:default}` are
    resolved against the process environment and these properties, in this order; one without
    value and default stays as it is (§4.4).
    """

    __slots__ = ("_facts", "_relaxed", "_sources", "_values")

    def __init__(
        self, sources: Sequence[PropertySource], values: Mapping[str, FlatValue], facts: Facts
    ) -> None:
        """Use `read_properties`, which merges and resolves."""
        self._sources = tuple(sources)
        self._values = values
        self._facts = facts
        self._relaxed: dict[str, str] | None = None

    @classmethod
    def of(cls, properties: Mapping[str, object], *, application: str = "test") -> "Properties":
        """Return properties made of a mapping, without a server: for unit tests.

        >>> Properties.of({"db": {"pool-size": 5}}).get("db.poolSize", int)
        5

        Args:
            properties: Flat, nested, or both. Placeholders are resolved against these
                properties only, not against the environment of the process.
            application: The `name` of the result.

        Raises:
            ConfigFormatError: The tree is too deep, too large, or of other types than JSON has; or
                a placeholder leads back to itself.
        """
        facts = Facts(name=application, profiles=(DEFAULT_PROFILE,), place="test")
        return read_properties([source_of("test", properties)], facts, environ={})

    @property
    def name(self) -> str:
        """The application as asked for."""
        return self._facts.name

    @property
    def profiles(self) -> tuple[str, ...]:
        """As the server names them."""
        return self._facts.profiles

    @property
    def label(self) -> str | None:
        """The label as asked for."""
        return self._facts.label

    @property
    def version(self) -> str | None:
        """Revision of the store, where the server tells it."""
        return self._facts.version

    @property
    def loaded_from(self) -> LoadedFrom:
        """Whether the server, a snapshot or the baseline gave them."""
        return self._facts.loaded_from

    @property
    def place(self) -> str:
        """The server's address, or the file; without credentials."""
        return self._facts.place

    @property
    def from_snapshot(self) -> bool:
        """Whether the server was not asked, or did not give a usable answer."""
        return self._facts.loaded_from != "server"

    @property
    def age(self) -> "timedelta":
        """How long ago the server gave them; nothing for a baseline, whose age is not known."""
        from datetime import timedelta  # noqa: PLC0415 - if asked

        return timedelta(seconds=self._facts.age())

    def confirmed(self, place: str) -> "Properties":
        """Return the same properties as given by a server just now."""
        facts = Facts(loaded_from="server", place=place)
        return Properties(self._sources, self._values, facts.of(self._facts))

    def __getitem__(self, key: str) -> FlatValue:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} properties)"

    # A class as second argument is what is wanted here, and a default in every other mapping.
    @overload
    def get(self, key: str, /) -> FlatValue | None: ...
    @overload
    def get(self, key: str, wanted: type[T], /) -> T: ...
    @overload
    def get(self, key: str, wanted: type[T], /, *, default: D) -> T | D: ...
    @overload
    def get(self, key: str, default: FlatValue | D, /) -> FlatValue | D: ...
    @overload
    def get(self, key: str, /, *, default: D) -> FlatValue | D: ...
    def get(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: str, wanted: object = None, /, *, default: object = _REQUIRED
    ) -> object:
        """Return a property under any of its spellings: `db.pool-size`, `db.poolSize`.

        Without a type this is the `get` of every mapping. With one, such as `int`, `bool`,
        `timedelta`, `DataSize`, `list[str]` or an enumeration, the value is converted; lists are
        put together from `hosts[0]`, `hosts[1]` or split at commas.

        Raises:
            MissingPropertyError: There is no such property; only with a type and no default.
            PropertyTypeError: It does not hold what is wanted. Shows no value.
        """
        typed = isinstance(wanted, type) or hasattr(wanted, "__origin__")
        if not typed:
            found = self._spelling(key)
            missing = wanted if default is _REQUIRED else default
            return missing if found is None else self._values[found]
        node = self._node(key)
        if node is not None:
            from pyfly.config_client._result.convert import convert  # noqa: PLC0415 - not by a plain start

            return convert(node, wanted, key)
        if default is _REQUIRED:
            raise MissingPropertyError(key, self._close(key))
        return default

    def section(self, prefix: str) -> "Properties":
        """Return the properties below a prefix, without it; none when there are none."""
        values = {rest[1:]: self._values[key] for key, rest in below(self, prefix) if inside(rest)}
        return Properties([cut(one, prefix) for one in self._sources], values, self._facts)

    def bind(self, prefix: str, model: type[T]) -> T:
        """Return a dataclass or a pydantic model filled from the properties below a prefix.

        Names are relaxed: the field `pool_size` is filled from `pool-size` or `poolSize`.
        What the model does not know is ignored.

        Args:
            prefix: As in `db`; empty for all properties.
            model: A dataclass, whose fields may be dataclasses, lists and mappings, or a
                pydantic model.

        Raises:
            PropertyTypeError: Properties are missing or do not fit; names all, shows no value.
        """
        from pyfly.config_client._result.convert import convert  # noqa: PLC0415 - not by a plain start

        section = self.section(prefix) if prefix else self
        return cast("T", convert(section.tree(), model, prefix))  # of that type, or it raised

    def tree(self) -> dict[str, JsonValue]:
        """Return the properties as nested mappings and lists, which the caller may change.

        Raises:
            PropertyTypeError: A key cannot stand in a tree, such as `a..b`.
        """
        try:
            return rebuild(self._values)
        except ConfigFormatError as error:
            raise PropertyTypeError(str(error)) from error

    def origin(self, key: str) -> "Origin":
        """Return where the value of a property comes from.

        Raises:
            MissingPropertyError: There is no such property.
        """
        return self.explain(key).winner

    def explain(self, key: str) -> "Explanation":
        """Return which source gives a property its value and which ones it hides.

        Raises:
            MissingPropertyError: There is no such property.
        """
        found = self._spelling(key)
        if found is None:
            raise MissingPropertyError(key, self._close(key))
        from pyfly.config_client._result.origin import Explanation, origin_in  # noqa: PLC0415 - if asked

        holders = [source for source in self._sources if found in source.source]
        winner = origin_in(holders[0], found)
        hidden = (
            (source, other)
            for source in self._sources
            for other in source.source
            if competes(other, found) and (source is not holders[0])
        )
        return Explanation(
            key=found, winner=winner, losers=tuple(origin_in(one, other) for one, other in hidden)
        )

    def merge_into(
        self,
        local: Mapping[str, object] | None = None,
        *,
        arguments: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        prefix: str = "",
    ) -> "Properties":
        """Return these properties merged with what the program itself knows.

        The order, highest first: `arguments`, environment variables, these properties, `local`.
        An environment variable counts when its name is that of a key in one of the others:
        `DB_POOLSIZE` for `db.pool-size`, `HOSTS=a,b` for a whole list. Nothing that was passed
        is changed.

        Args:
            local: The program's defaults; flat, nested, or both.
            arguments: What outranks everything, such as a command line.
            environ: Instead of the environment of the process; an empty mapping for none.
            prefix: What the names of environment variables begin with, such as `ORDERS_`.

        Raises:
            ConfigFormatError: A tree is too deep, too large or of other types than JSON has; or
                a placeholder leads back to itself.
        """
        given = source_of("arguments", arguments)
        defaults = source_of("local defaults", local)
        variables = os.environ if environ is None else environ
        keys = {key: None for one in (given, defaults) for key in one.source} | dict.fromkeys(self)
        for source in self._sources:
            keys |= dict.fromkeys(source.source)
        found = from_variables(keys, variables, prefix)
        names = {key: prefix + variable(key) for key in found}
        outside = PropertySource(name="environment", source=found, origins=names)
        return read_properties(
            [given, outside, *self._sources, defaults], self._facts, environ=variables
        )

    def _node(self, key: str) -> JsonValue:
        """Return the value of a key, or the tree below it; `None` when there is neither."""
        found = self._spelling(key)
        if found is not None:
            return self._values[found]
        inner = {f"x{rest}": self._values[one] for one, rest in below(self, key)}
        return rebuild(inner)["x"] if inner else None

    def _spelling(self, key: str) -> str | None:
        """Return how a key is spelt here; of several spellings that of the highest source."""
        if self._relaxed is None:
            spellings: dict[str, str] = {}
            for source in self._sources:
                for one in source.source:
                    if one in self._values:
                        spellings.setdefault(relaxed(one), one)
            self._relaxed = spellings
        return self._relaxed.get(relaxed(key))

    def _close(self, key: str) -> list[str]:
        from difflib import get_close_matches  # noqa: PLC0415 - only for an error

        return get_close_matches(key, list(self), 1)


def read_properties(
    sources: Iterable[PropertySource], facts: Facts, *, environ: Mapping[str, str] | None
) -> Properties:
    """Merge sources, highest first, and resolve their placeholders.

    Args:
        sources: Highest precedence first.
        facts: What is known beside them.
        environ: Where placeholders look first; `None` leaves them as they are.

    Raises:
        ConfigFormatError: A placeholder leads back to itself. Names the key, shows no value.
    """
    kept = [source for source in sources if source.source]
    values = merge([source.source for source in kept])
    if environ is not None:
        resolve(values, environ)
    return Properties(kept, values, facts)
