"""`Properties`, the result of a fetch."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, overload

from pyfly.config_client._environ import environment_source, key_for_variable
from pyfly.config_client._merging import (
    Explainer,
    Explanation,
    MergedProperties,
    Origin,
    UnresolvedValue,
    keys_below,
    merge_sources,
    resolve,
    source_from_tree,
    with_prefix,
)
from pyfly.config_client.errors import MissingPropertyError, closest
from pyfly.config_core import DEFAULT_PROFILE, FlatValue, JsonValue, PropertySource
from pyfly.config_core.property_names import below, canonical

if TYPE_CHECKING:
    from pyfly.config_client._sections import Node

T = TypeVar("T")
D = TypeVar("D")
P = TypeVar("P", bound="FlatValue | Sequence[object] | Mapping[str, object] | None")

_REQUIRED: Final = object()
_DEFAULTS: Final = frozenset({type(None), str, int, bool, float})
"""The types of most defaults; checking them first is fast."""

LoadedFrom = Literal["server", "snapshot", "baseline"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ConfigMetadata:
    """The names, the version, the origin and the age of a whole configuration."""

    name: str = ""
    profiles: tuple[str, ...] = ()
    label: str | None = None
    version: str | None = None
    loaded_from: LoadedFrom = "server"
    place: str = ""
    """The address or the file, without credentials."""
    age: float = 0.0
    """Its age in seconds when it was loaded."""
    stale: float | None = None
    """For how many seconds the server could not read its store then; `None` if it could."""
    loaded_at: float = field(default_factory=time.monotonic)
    """By the monotonic clock, which corrections of the time of day do not change."""

    def later(self, seconds: float) -> float:
        """Return what a number of seconds has grown to since it was loaded."""
        return seconds + time.monotonic() - self.loaded_at


class Properties(Mapping[str, FlatValue]):  # noqa: PLW1641 - as other mappings
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

    __slots__ = ("_explainer", "_merged", "_metadata", "_prefix", "_root", "_sources")

    def __init__(
        self,
        sources: Sequence[PropertySource],
        merged: MergedProperties,
        metadata: ConfigMetadata,
        *,
        prefix: str = "",
    ) -> None:
        """Call `read_properties` instead, which merges and resolves."""
        self._sources, self._merged = tuple(sources), merged
        self._metadata, self._prefix = metadata, prefix
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
        """Return the same properties, as if the server at this place had sent them now.

        `stale` is for how many seconds the server cannot read its store; `None` if it can.
        """
        now = time.monotonic()
        metadata = replace(
            self._metadata, loaded_from="server", place=place, age=0.0, stale=stale, loaded_at=now
        )
        return Properties(self._sources, self._merged, metadata, prefix=self._prefix)

    @property
    def name(self) -> str:
        """The application as requested."""
        return self._metadata.name

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles as the server names them."""
        return self._metadata.profiles

    @property
    def label(self) -> str | None:
        """The label as requested."""
        return self._metadata.label

    @property
    def version(self) -> str | None:
        """The revision of the store, if the server sends it."""
        return self._metadata.version

    @property
    def loaded_from(self) -> LoadedFrom:
        """Where the properties were loaded from."""
        return self._metadata.loaded_from

    @property
    def place(self) -> str:
        """The address of the server or the file, without credentials."""
        return self._metadata.place

    @property
    def from_snapshot(self) -> bool:
        """True if they are from a snapshot or the baseline, not from the server."""
        return self._metadata.loaded_from != "server"

    @property
    def age(self) -> timedelta:
        """The time since the server sent them; zero for a baseline when it is loaded."""
        return timedelta(seconds=self._metadata.later(self._metadata.age))

    @property
    def stale_for(self) -> float | None:
        """For how many seconds the server cannot read its store; `None` if it can.

        A stale configuration is the last good one that the server has.
        """
        stale = self._metadata.stale
        return None if stale is None else self._metadata.later(stale)

    def __getitem__(self, key: str) -> FlatValue:
        found = key if key in self._merged.values else self._spelling(key)
        if found is None:
            raise KeyError(key)
        return self._merged.read(found)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._spelling(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._merged.values)

    def __len__(self) -> int:
        return len(self._merged.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        rows = cast("Mapping[str, object]", other)  # isinstance cannot tell the parameters
        if len(rows) != len(self) or not all(key in self for key in rows):
            return False
        return all(self[key] == value for key, value in rows.items())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} properties)"

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
        if type(wanted) not in _DEFAULTS:
            from pyfly.config_client._conversion import get_as, is_type  # noqa: PLC0415 - 10 ms, not needed by all programs

            if is_type(wanted):
                result = get_as(self._node, self._peek, key, wanted)
                if result is None and default is _REQUIRED:
                    raise self._missing(key)
                return default if result is None else result[0]
        found = self._spelling(key)
        if found is None:
            return wanted if default is _REQUIRED else default
        return self[found]

    def section(self, prefix: str) -> "Properties":
        """Return the properties below a prefix, without the prefix; may be empty.

        The keys of the elements of a list are `[0]`, `[1]`, ….
        """
        if not prefix:
            return self
        whole = below(self._prefix, prefix)
        return Properties(self._sources, self._merged.section(prefix), self._metadata, prefix=whole)

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
        from pyfly.config_client._sections import plain  # noqa: PLC0415 - 10 ms, not needed by all programs

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
        outside = environment_source([*given.source, *stored, *defaults.source], variables, prefix)
        given, outside, defaults = (with_prefix(own, one) for one in (given, outside, defaults))
        sources = [given, outside, *self._sources, defaults]
        resolving = variables if self._merged.placeholders else None
        return read_properties(sources, self._metadata, environ=resolving, prefix=own)

    @property
    def root(self) -> "Node":
        """All properties, as a tree."""
        if self._root is None:
            from pyfly.config_client._sections import build_tree  # noqa: PLC0415 - as in `tree`

            self._root = build_tree(self._merged)
        return self._root

    def entries(self) -> dict[str, tuple[str, FlatValue | UnresolvedValue]]:
        """Return all spellings and values by canonical names; never raises."""
        spellings, peek = self._merged.spellings, self._merged.peek
        return {name: (key, peek(key)) for name, key in spellings.items()}

    def _spelling(self, key: str) -> str | None:
        """Return the stored spelling of a key; `None` if there is no such property."""
        found = self._merged.spellings.get(canonical(key))
        if found is None and key.isupper() and "." not in key:
            return key_for_variable(key, self._merged.spellings)
        return found

    def _node(self, key: str) -> "Node | None":
        """Return the node of a name, with all names below it; the root for an empty name."""
        return self.root.find(canonical(key)) if key else self.root

    def _peek(self, key: str) -> FlatValue | UnresolvedValue | None:
        """Return the value of a property itself; `None` if there is no such property."""
        found = self._spelling(key)
        return None if found is None else self._merged.peek(found)

    def _missing(self, key: str) -> MissingPropertyError:
        return MissingPropertyError(key, closest(key, self), is_empty=key in self)


def read_properties(
    sources: Iterable[PropertySource],
    metadata: ConfigMetadata,
    *,
    environ: Mapping[str, str] | None,
    prefix: str = "",
) -> Properties:
    """Merge sources, the highest precedence first, and resolve their placeholders.

    Placeholders are looked up in `environ` first, and in all sources; `None` leaves them
    unresolved. With a prefix, only the properties below it are returned.
    """
    kept = [source for source in sources if source.source]
    merged = merge_sources([keys_below(prefix, source) for source in kept])
    if environ is None:
        merged = merged._replace(placeholders=False)
    else:
        resolve(merged, environ, prefix, kept)
    return Properties(kept, merged, metadata, prefix=prefix)
