"""`Properties`, the result of a fetch."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar, overload

from pyfly.config_client._environ import environment_source
from pyfly.config_client._merging import (
    Explainer,
    Explanation,
    MergedProperties,
    Origin,
    keys_below,
    merge_sources,
    placeholder_values,
    resolve,
    source_from_tree,
    with_prefix,
)
from pyfly.config_client._views import ConfigMetadata, Node, PropertyMapping, build_tree, plain
from pyfly.config_client.errors import MissingPropertyError, closest
from pyfly.config_core import DEFAULT_PROFILE, FlatValue, JsonValue, PropertySource
from pyfly.config_core.property_names import below, canonical, without_prefix

T = TypeVar("T")
D = TypeVar("D")
P = TypeVar("P", bound="FlatValue | Sequence[object] | Mapping[str, object] | None")

_Environ: TypeAlias = Mapping[str, str] | None
_REQUIRED: Final = object()
_DEFAULTS: Final = frozenset({type(None), str, int, bool, float})
"""The types of most defaults; checking them first is fast."""


class Properties(PropertyMapping):
    """The merged properties of an application: flat keys to values, highest precedence applied.

    An immutable mapping. All spellings of a name are one key, as in Spring Boot's relaxed
    binding: `db.pool-size`, `db.poolSize` and `db.pool_size`. Lookups accept every spelling,
    iteration uses the spelling of the source with the highest precedence, and equality and length
    count names. A `Properties` is equal to the plain dict of its content.

    A list is taken whole from the highest source that has any element of it. Placeholders
    `${key:default}` are resolved against the process environment and these properties, in this
    order; a placeholder without value and default stays unchanged. Reading a value that refers to
    itself raises `PropertyTypeError`; so do `values()`, `items()` and `dict(…)` then.
    """

    __slots__ = ("_explainer", "_root")

    def __init__(
        self,
        sources: Sequence[PropertySource],
        merged: MergedProperties,
        metadata: ConfigMetadata,
        *,
        prefix: str = "",
    ) -> None:
        """Call `read_properties` instead, which merges and resolves."""
        super().__init__(sources, merged, metadata, prefix=prefix)
        self._root: Node | None = None
        self._explainer: Explainer | None = None

    @classmethod
    def of(cls, properties: Mapping[str, object], *, application: str = "test") -> "Properties":
        """Return the properties of a mapping, without a server; for unit tests.

        >>> Properties.of({"db": {"pool-size": 5}}).get("db.poolSize", int)
        5

        Args:
            properties: Flat, nested, or both. Placeholders are resolved against these
                properties only, not against the environment of the process.
            application: The `name` of the result.

        Raises:
            ConfigFormatError: The tree is too deep, too large, or of other types than JSON has.
        """
        metadata = ConfigMetadata(name=application, profiles=(DEFAULT_PROFILE,), place="test")
        return read_properties([source_from_tree("test", properties)], metadata, environ={})

    def confirmed(self, place: str, stale: float | None = None) -> "Properties":
        """Return the same properties, as if the server had sent them now.

        Args:
            place: The address of the server.
            stale: For how many seconds the server cannot read its store; `None` if it can.
        """
        metadata = ConfigMetadata(loaded_from="server", place=place, stale_when_loaded=stale)
        return Properties(
            self._sources, self._merged, metadata.of(self._metadata), prefix=self._prefix
        )

    # Type checkers cannot express `int | None` as an argument yet, so the result is `Any`.
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

        Without a type this is `Mapping.get`. With a type, such as `int`, `int | None`,
        `timedelta`, `DataSize`, `list[str]` or a class with fields, the value is converted. The
        second argument is a type if it is a class or an object made by `typing` or `|`;
        otherwise, as a text, it is the default.

        Raises:
            MissingPropertyError: There is no such property, or it is empty and the type is not
                text. Only with a type and without a default.
            PropertyTypeError: It cannot be converted, or its placeholders cannot be resolved. The
                error shows no value.
            UnsupportedTypeError: There is no conversion to that type. Raised before the property
                is looked up.
        """
        if type(wanted) in _DEFAULTS:
            return self._get_plain(key, wanted if default is _REQUIRED else default)
        from pyfly.config_client._conversion import get_as, is_type  # noqa: PLC0415 - 10 ms, not needed by all programs

        if not is_type(wanted):
            return self._get_plain(key, wanted if default is _REQUIRED else default)

        result = get_as(self._node, self._leaf, key, wanted)
        if result is not None:
            return result[0]
        if default is _REQUIRED:
            raise self._missing(key)
        return default

    def section(self, prefix: str) -> "Properties":
        """Return the properties below a prefix, without the prefix; may be empty.

        The keys of the elements of a list are `[0]`, `[1]`, ….
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
            MergedProperties(
                values={cut_key: merged.values[key] for key, cut_key in short.items()},
                spellings={name: short[key] for name, key in spellings.items()},
                broken={short[key]: why for key, why in merged.broken.items() if key in short},
                placeholders=merged.placeholders,
            ),
            self._metadata,
            prefix=below(self._prefix, prefix),
        )

    @overload
    def bind(self, prefix: str, model: type[T]) -> T: ...
    @overload
    def bind(self, prefix: str, model: object) -> Any: ...
    def bind(self, prefix: str, model: object) -> object:
        """Return an instance of a class, filled from the properties below a prefix.

        Any spelling fills a field: `pool_size` is filled from `pool-size` or `poolSize`.
        Properties without a field are ignored.

        Args:
            prefix: Such as `db`; empty for all properties.
            model: A dataclass, a pydantic model, a class of attrs or msgspec, a named tuple, a
                `TypedDict`, or any other type that `get` accepts.

        Raises:
            PropertyTypeError: Properties are missing or cannot be converted. The error names all
                of them and shows no value.
            UnsupportedTypeError: There is no conversion to the type of a field.
        """
        from pyfly.config_client._conversion import bind_as  # noqa: PLC0415 - 10 ms, not needed by all programs

        return bind_as(self._node, prefix, model)

    def tree(self) -> dict[str, JsonValue]:
        """Return the properties as nested mappings and lists, which the caller may change.

        Indexes from 0 make a list, or a mapping if more indexes are missing than present. If a
        name has both a value and names below it, the latter are returned.

        Raises:
            PropertyTypeError: The placeholders of a value cannot be resolved.
        """
        return {child.name: plain(child) for child in self.root.children.values()}

    def origin(self, key: str) -> Origin:
        """Return the origin of the value of a property.

        Raises:
            MissingPropertyError: There is no such property.
        """
        return self.explain(key).winner

    def explain(self, key: str) -> Explanation:
        """Return the source of a property's value, and the sources that it takes precedence over.

        Raises:
            MissingPropertyError: There is no such property.
        """
        found = self._spelling(key)
        if found is None:
            raise self._missing(key)
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
        """Return these properties merged with those of the program.

        The order, highest precedence first: `arguments`, environment variables, these properties,
        `local`. A variable is read if its name is that of a key in another source:
        `DB_POOL_SIZE` or `DB_POOLSIZE` for `db.pool-size`, `HOSTS=a,b` for a whole list, or
        `HOSTS_0`, `HOSTS_1`. In a section, all names are without its prefix, except in
        placeholders.

        Args:
            local: The program's defaults; flat, nested, or both.
            arguments: The properties with the highest precedence, such as a command line.
            environ: Used instead of the environment of the process; empty for no variables.
            prefix: The start of the names of environment variables, such as `ORDERS_`.

        Raises:
            ConfigFormatError: A tree is too deep, too large or of other types than JSON has.
        """
        given = source_from_tree("arguments", arguments)
        defaults = source_from_tree("local defaults", local)
        variables = os.environ if environ is None else environ
        own = self._prefix
        stored = (key for source in self._sources for key in keys_below(own, source))
        keys = dict.fromkeys([*given.source, *stored, *defaults.source])
        outside = environment_source(keys, variables, prefix)
        given, outside, defaults = (with_prefix(own, one) for one in (given, outside, defaults))
        sources = [given, outside, *self._sources, defaults]
        resolving = variables if self._merged.placeholders else None
        return read_properties(sources, self._metadata, environ=resolving, prefix=own)

    @property
    def root(self) -> Node:
        """All properties, as a tree."""
        if self._root is None:
            self._root = build_tree(self._merged)
        return self._root

    def _node(self, key: str) -> Node | None:
        """Return the node of a name, with all names below it; the root for an empty name."""
        return self.root.find(canonical(key)) if key else self.root

    def _leaf(self, key: str) -> Node | None:
        """Return the node of a property, without the names below it."""
        found = self._spelling(key)
        if found is None:
            return None
        return Node(found, value=self._merged.peek(found))

    def _missing(self, key: str) -> MissingPropertyError:
        return MissingPropertyError(key, closest(key, self), is_empty=key in self)


def read_properties(
    sources: Iterable[PropertySource],
    metadata: ConfigMetadata,
    *,
    environ: _Environ,
    prefix: str = "",
) -> Properties:
    """Merge sources, highest first, and resolve their placeholders.

    Args:
        sources: Highest precedence first.
        metadata: The names, the version, the origin and the age of the whole configuration.
        environ: The first place where placeholders are looked up; `None` leaves them unresolved.
        prefix: Return only the properties below it; their placeholders may refer to others.
    """
    kept = [source for source in sources if source.source]
    merged = merge_sources([keys_below(prefix, source) for source in kept])
    if environ is None:
        merged = merged._replace(placeholders=False)
    else:
        resolve(
            merged, environ, prefix, placeholder_values(prefix, merged, kept) if prefix else None
        )
    return Properties(kept, merged, metadata, prefix=prefix)
