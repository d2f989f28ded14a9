"""What a fetch returns."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast, overload

from pyfly.config_client._result.facts import Facts, LoadedFrom
from pyfly.config_client._result.forms import is_form
from pyfly.config_client._result.merging import (
    Merged,
    around,
    cut,
    merge_sources,
    put_below,
    resolve,
    source_of,
)
from pyfly.config_client._result.names import below, canonical, without_prefix
from pyfly.config_client.errors import MissingPropertyError
from pyfly.config_core import DEFAULT_PROFILE, FlatValue, JsonValue, PropertySource

if TYPE_CHECKING:
    from datetime import timedelta

    from pyfly.config_client._result.merging import Broken
    from pyfly.config_client._result.nodes import Node
    from pyfly.config_client._result.origin import Explainer, Explanation, Origin

T = TypeVar("T")
D = TypeVar("D")
P = TypeVar("P", bound="FlatValue | Sequence[object] | Mapping[str, object] | None")

_Environ: TypeAlias = Mapping[str, str] | None
_REQUIRED: Final = object()
_DEFAULTS: Final = frozenset({type(None), str, int, bool, float})
"""Most defaults are of these types."""


class Properties(Mapping[str, FlatValue]):  # noqa: PLW1641 - as other mappings
    """The merged properties of an application: flat keys to values, highest precedence applied.

    An immutable mapping. All spellings of a name are one key, as in Spring Boot's relaxed
    binding: `db.pool-size`, `db.poolSize` and `db.pool_size`. Look-ups take every spelling,
    iteration gives that of the source that wins, and equality and length count names. So it is
    equal to the plain dict of its content.

    A list is taken whole from the highest source that has any element of it. Placeholders
    `${key:default}` are resolved against the process environment and these properties, in this
    order; one without value and default stays as it is. A value that leads back to itself raises
    `PropertyTypeError` when it is read, and so do `values()`, `items()` and `dict(…)` then.
    """

    __slots__ = ("_explainer", "_facts", "_merged", "_prefix", "_root", "_sources")

    def __init__(
        self,
        sources: Sequence[PropertySource],
        merged: Merged,
        facts: Facts,
        *,
        prefix: str = "",
    ) -> None:
        """Use `read_properties`, which merges and resolves."""
        self._sources = tuple(sources)
        self._merged = merged
        self._facts = facts
        self._prefix = prefix
        self._root: Node | None = None
        self._explainer: Explainer | None = None

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
            ConfigFormatError: The tree is too deep, too large, or of other types than JSON has.
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
        """True if the server was not asked, or did not give a usable answer."""
        return self._facts.loaded_from != "server"

    @property
    def age(self) -> "timedelta":
        """How long ago the server gave them; nothing for a baseline, whose age is not known."""
        from datetime import timedelta  # noqa: PLC0415 - if asked

        return timedelta(seconds=self._facts.age())

    def confirmed(self, place: str) -> "Properties":
        """Return the same properties as given by a server just now."""
        facts = Facts(loaded_from="server", place=place)
        return Properties(self._sources, self._merged, facts.of(self._facts), prefix=self._prefix)

    def __getitem__(self, key: str) -> FlatValue:
        merged = self._merged
        if key not in merged.values:
            found = self._spelling(key)
            if found is None:
                raise KeyError(key)
            key = found
        return merged.read(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._spelling(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._merged.values)

    def __len__(self) -> int:
        return len(self._merged.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        rows = cast("Mapping[object, object]", other)  # isinstance cannot tell the parameters
        if len(rows) != len(self):
            return False
        return all(isinstance(key, str) and key in self for key in rows) and all(
            self[cast("str", key)] == value for key, value in rows.items()
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} properties)"

    # Type checkers have no word yet for `int | None` and the like as an argument: such are `Any`.
    @overload
    def get(self, key: str, /) -> FlatValue | None: ...
    @overload
    def get(self, key: str, wanted: type[T], /) -> T: ...
    @overload
    def get(self, key: str, wanted: type[T], /, *, default: None) -> T | None: ...
    @overload
    def get(self, key: str, wanted: type[T], /, *, default: T) -> T: ...
    @overload
    def get(self, key: str, default: P, /) -> FlatValue | P: ...
    @overload
    def get(self, key: str, /, *, default: D) -> FlatValue | D: ...
    @overload
    def get(self, key: str, wanted: object, /, *, default: object = ...) -> Any: ...
    def get(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: str, wanted: object = None, /, *, default: object = _REQUIRED
    ) -> object:
        """Return a property under any of its spellings: `db.pool-size`, `db.poolSize`.

        Without a type this is the `get` of every mapping. With one, such as `int`, `int | None`,
        `timedelta`, `DataSize`, `list[str]` or a class with fields, the value is converted. A
        type is told by its form: a class, or what `typing` and `|` make. A text is a default.

        Raises:
            MissingPropertyError: There is no such property, or it is empty and no text is
                wanted; only with a type and no default.
            PropertyTypeError: It does not hold what is wanted, or its placeholders cannot be
                resolved. Shows no value.
            UnsupportedTypeError: There is no conversion to that type; raised before the
                property is looked at.
        """
        if type(wanted) in _DEFAULTS or not is_form(wanted):
            missing = wanted if default is _REQUIRED else default
            found = self._spelling(key)
            return missing if found is None else self[found]
        from pyfly.config_client._result.typed import get_as  # noqa: PLC0415 - not by a plain start

        result = get_as(self._node, self._leaf, key, wanted)
        if result is not None:
            return result[0]
        if default is _REQUIRED:
            raise MissingPropertyError(key, self._close(key), is_empty=key in self)
        return default

    def section(self, prefix: str) -> "Properties":
        """Return the properties below a prefix, without it; none if there are none.

        The elements of a list are below its name: `[0]`, `[1]`.
        """
        if not prefix:
            return self
        merged = self._merged
        start = canonical(prefix) + "."
        count = start.count(".")
        spellings = {
            name[len(start) :]: key
            for name, key in merged.spellings.items()
            if name.startswith(start)
        }
        short = {key: without_prefix(key, count) for key in spellings.values()}
        return Properties(
            self._sources,
            Merged(
                values={cut_key: merged.values[key] for key, cut_key in short.items()},
                spellings={name: short[key] for name, key in spellings.items()},
                broken={short[key]: why for key, why in merged.broken.items() if key in short},
                placeholders=merged.placeholders,
            ),
            self._facts,
            prefix=below(self._prefix, prefix),
        )

    @overload
    def bind(self, prefix: str, model: type[T]) -> T: ...
    @overload
    def bind(self, prefix: str, model: object) -> Any: ...
    def bind(self, prefix: str, model: object) -> object:
        """Return a class with fields, filled from the properties below a prefix.

        Names are relaxed: the field `pool_size` is filled from `pool-size` or `poolSize`. Only
        the properties that the class asks for are looked at.

        Args:
            prefix: As in `db`; empty for all properties.
            model: A dataclass, a pydantic model, a class of attrs or msgspec, a named tuple or a
                `TypedDict`; any other type that `get` takes, too.

        Raises:
            PropertyTypeError: Properties are missing or do not fit; names all, shows no value.
            UnsupportedTypeError: There is no conversion to the type of a field.
        """
        from pyfly.config_client._result.typed import bind_as  # noqa: PLC0415 - not by a plain start

        return bind_as(self._node, prefix, model)

    def tree(self) -> dict[str, JsonValue]:
        """Return the properties as nested mappings and lists, which the caller may change.

        Indexes from 0 on make a list, and a mapping if more of them are missing than there are.
        Where a name has a value and there are deeper names, the deeper ones are returned.

        Raises:
            PropertyTypeError: The placeholders of a value cannot be resolved.
        """
        from pyfly.config_client._result.nodes import plain  # noqa: PLC0415 - not by a plain start

        return {child.name: plain(child) for child in self.root.children.values()}

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
        from pyfly.config_client._result.origin import Explainer  # noqa: PLC0415 - if asked

        self._explainer = self._explainer or Explainer(self._sources)
        return self._explainer.explain(found, below(self._prefix, found))

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
        An environment variable counts if its name is that of a key in one of the others:
        `DB_POOL_SIZE` or `DB_POOLSIZE` for `db.pool-size`, `HOSTS=a,b` for a whole list, or
        `HOSTS_0`, `HOSTS_1`. Nothing that was passed is changed. Of a section, all names are
        those without its prefix, except in placeholders.

        Args:
            local: The program's defaults; flat, nested, or both.
            arguments: What outranks everything, such as a command line.
            environ: Instead of the environment of the process; an empty mapping for none.
            prefix: What the names of environment variables begin with, such as `ORDERS_`.

        Raises:
            ConfigFormatError: A tree is too deep, too large or of other types than JSON has.
        """
        from pyfly.config_client._result.environment import from_variables  # noqa: PLC0415 - if asked

        given, defaults = source_of("arguments", arguments), source_of("local defaults", local)
        variables = os.environ if environ is None else environ
        own = self._prefix
        known = (key for source in self._sources for key in cut(own, source))
        keys = dict.fromkeys([*given.source, *known, *defaults.source])
        outside = from_variables(keys, variables, prefix)
        given, outside, defaults = (put_below(own, one) for one in (given, outside, defaults))
        sources = [given, outside, *self._sources, defaults]
        resolving = variables if self._merged.placeholders else None
        return read_properties(sources, self._facts, environ=resolving, prefix=own)

    def entries(self) -> "dict[str, tuple[str, FlatValue | Broken]]":
        """Return all properties by their canonical names: spellings and values; never raises."""
        merged = self._merged
        return {name: (key, merged.peek(key)) for name, key in merged.spellings.items()}

    @property
    def root(self) -> "Node":
        """All properties as a tree of nodes."""
        if self._root is None:
            from pyfly.config_client._result.nodes import grow  # noqa: PLC0415 - not by a plain start

            self._root = grow(self._merged)
        return self._root

    def _node(self, key: str) -> "Node | None":
        """Return the node of a name, with what lies below it; the root for an empty name."""
        return self.root.find(canonical(key)) if key else self.root

    def _leaf(self, key: str) -> "Node | None":
        """Return the node of a property, without what lies below its name."""
        from pyfly.config_client._result.nodes import Node  # noqa: PLC0415 - not by a plain start

        found = self._spelling(key)
        if found is None:
            return None
        return Node(found, value=self._merged.peek(found))

    def _spelling(self, key: str) -> str | None:
        """Return how a key is spelt here, or `None` if there is no such property."""
        found = self._merged.spellings.get(canonical(key))
        if found is None and key.isupper() and "." not in key:
            from pyfly.config_client._result.environment import key_of  # noqa: PLC0415 - if asked

            return key_of(key, self._merged.spellings)
        return found

    def _close(self, key: str) -> list[str]:
        from difflib import get_close_matches  # noqa: PLC0415 - only for an error

        return get_close_matches(key, list(self), 1)


def read_properties(
    sources: Iterable[PropertySource], facts: Facts, *, environ: _Environ, prefix: str = ""
) -> Properties:
    """Merge sources, highest first, and resolve their placeholders.

    Args:
        sources: Highest precedence first.
        facts: What is known beside them.
        environ: Where placeholders look first; `None` leaves them as they are.
        prefix: Return only what lies below it; its placeholders may lead elsewhere.
    """
    kept = [source for source in sources if source.source]
    merged = merge_sources([cut(prefix, source) for source in kept])
    if environ is None:
        merged = replace(merged, placeholders=False)
    else:
        resolve(merged, environ, prefix, around(prefix, merged, kept) if prefix else None)
    return Properties(kept, merged, facts, prefix=prefix)
