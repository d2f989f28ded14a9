"""From property sources to values: merged by canonical names, resolved, and explained.

Pure functions.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from pyfly.config_client.errors import PropertyTypeError
from pyfly.config_core import (
    ConfigFormatError,
    FlatValue,
    PlaceholderResolver,
    PropertySource,
    copy_properties,
    flatten,
)
from pyfly.config_core.limits import MAX_DEPTH
from pyfly.config_core.property_names import (
    below,
    canonical,
    elements,
    is_index,
    snake_variable,
    variable,
    without_prefix,
)
from pyfly.config_core.service_links import is_service_url

MAX_ELEMENTS: Final = MAX_DEPTH
"""The limit of elements of a name; everything behind it is one last element, with its dots."""

_INDEXED: Final = re.compile(r"\.[0-9]")
"""Matches every canonical name with an index behind a name; a fast test."""
_INDEX: Final = re.compile(r"\.(?:0|[1-9][0-9]{0,8})(?![^.])")
"""An index behind a name, up to the next dot."""
_FIRST: Final = ("0", True)
"""The element of a key that makes a list: the index 0 in brackets."""
_RETIRED_KEY: Final = "spring.profiles"

_Named: TypeAlias = "tuple[str, FlatValue]"
"""A key as spelled, and its value."""


class UnresolvedValue:
    """Replaces a value whose placeholders cannot be resolved. Equal to others of the same text.

    Args:
        key: The key, as messages show it.
        text: The value in its source.
        reason: Why it cannot be resolved.
    """

    __slots__ = ("key", "reason", "text")

    def __init__(self, *, key: str, text: str, reason: str) -> None:
        self.key: Final = key
        self.text: Final = text
        self.reason: Final = reason

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnresolvedValue) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def error(self) -> PropertyTypeError:
        """Return the error to raise when the value is read."""
        return PropertyTypeError(f"the property {self.key!r} cannot be resolved: {self.reason}")


class MergedProperties(NamedTuple):
    """The properties of several sources, merged."""

    values: dict[str, FlatValue]
    """By keys as spelled in the source with the highest precedence."""
    spellings: dict[str, str]
    """From canonical names to these keys."""
    broken: dict[str, UnresolvedValue]
    """The keys whose placeholders cannot be resolved."""
    placeholders: bool = True
    """True if placeholders are resolved; otherwise they are part of the values."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.values)} properties)"

    def read(self, key: str) -> FlatValue:
        """Return the value of a key.

        Raises:
            PropertyTypeError: Its placeholders cannot be resolved.
        """
        if key in self.broken:
            raise self.broken[key].error()
        return self.values[key]

    def section(self, prefix: str) -> "MergedProperties":
        """Return the properties below a prefix, without it."""
        start = canonical(prefix) + "."
        count = start.count(".")
        found = {name: key for name, key in self.spellings.items() if name.startswith(start)}
        short = {key: without_prefix(key, count) for key in found.values()}
        return MergedProperties(
            values={cut: self.values[key] for key, cut in short.items()},
            spellings={name[len(start) :]: short[key] for name, key in found.items()},
            broken={short[key]: why for key, why in self.broken.items() if key in short},
            placeholders=self.placeholders,
        )

    def peek(self, key: str) -> FlatValue | UnresolvedValue:
        """Return the value of a key, or the reason why it cannot be resolved."""
        return self.broken.get(key) or self.values[key]


def merge_sources(sources: Sequence[Mapping[str, FlatValue]]) -> MergedProperties:
    """Return the merged properties of sources, the highest precedence first.

    Spellings of one name are one property, taken from the highest source that has it. A list is
    taken whole from the highest source that has any element of it. Indexes in brackets make a
    list if one source has the index 0; otherwise they are the keys of a mapping, which is merged.
    Single properties come first, in the order of their first appearance from the lowest source
    up; lists follow.

    >>> merge_sources([{"db.pool-size": 2, "l[0]": "z"}, {"db.poolSize": 1, "l[1]": "b"}]).values
    {'db.pool-size': 2, 'l[0]': 'z'}
    """
    lists = lists_in(sources)
    plain: dict[str, _Named] = {}
    groups: dict[str, dict[str, _Named]] = {}
    for source in reversed(sources):
        own_plain, own_groups = _by_name(source, lists)
        for name in own_plain.keys() & groups.keys():
            del groups[name]
        for stem in own_groups.keys() & plain.keys():
            del plain[stem]
        plain.update(own_plain)
        groups.update(own_groups)
    for group in groups.values():
        plain.update(group)
    plain.pop(_RETIRED_KEY, None)
    return MergedProperties(
        values=dict(plain.values()),
        spellings={name: key for name, (key, _) in plain.items()},
        broken={},
    )


def _by_name(
    source: Mapping[str, FlatValue], lists: Collection[str]
) -> tuple[dict[str, _Named], dict[str, dict[str, _Named]]]:
    """Return the single properties of one source, and its lists by their names."""
    plain: dict[str, _Named] = {}
    groups: dict[str, dict[str, _Named]] = {}
    for named in source.items():
        key = named[0]
        place, name = plain, canonical(key)
        if lists and (_INDEXED.search(name) or name[:1].isdigit()):
            stem = list_of(name, lists)
            place = plain if stem is None else groups.setdefault(stem, {})
        other = place.setdefault(name, named)
        if other is not named and _rank(key) > _rank(other[0]):
            place[name] = named
    # As in Spring, a value of the name itself, such as a comma list, takes precedence.
    for stem in plain.keys() & groups.keys():
        del groups[stem]
    return plain, groups


def _rank(key: str) -> int:
    """Return the precedence of a spelling among spellings in one source, as in Spring."""
    if "_" in key:
        return 1
    return 2 if "-" in key and key.islower() else 0


def lists_in(sources: Iterable[Mapping[str, FlatValue]]) -> Collection[str]:
    """Return the canonical names of lists: names with an index 0 in brackets in a source.

    Lists in lists are left out, because the outermost list is taken whole.
    """
    found: set[str] = set()
    for key in (key for source in sources for key in source if "[0]" in key):
        parts = elements(key)[:MAX_ELEMENTS]
        if _FIRST in parts:
            forms = canonical(key).split(".", MAX_ELEMENTS)
            found.add(".".join(forms[: parts.index(_FIRST)]))
    return found


def list_of(name: str, lists: Collection[str]) -> str | None:
    """Return the outermost list that contains a canonical name; `None` without one."""
    if "" in lists and is_index(name.partition(".")[0]):
        return ""
    stems = (name[: index.start()] for index in islice(_INDEX.finditer(name), MAX_ELEMENTS))
    return next((stem for stem in stems if stem in lists), None)


def as_text(value: FlatValue) -> str:
    """Return a value as text; booleans as `true` and `false`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values_for_placeholders(
    merged: MergedProperties, prefix: str, sources: Sequence[PropertySource]
) -> Mapping[str, FlatValue]:
    """Return the values that placeholders refer to, by whole canonical names."""
    own = {name: merged.values[key] for name, key in merged.spellings.items()}
    if not prefix:
        return own
    start = canonical(prefix) + "."
    whole = merge_sources([source.source for source in sources])
    found = {name: whole.values[key] for name, key in whole.spellings.items()}
    outer = {name: value for name, value in found.items() if not name.startswith(start)}
    return outer | {start + name: value for name, value in own.items()}


def resolve(
    merged: MergedProperties,
    environ: Mapping[str, str],
    prefix: str,
    sources: Sequence[PropertySource],
) -> None:
    """Resolve placeholders in place, against variables first and then against the values.

    Any spelling of a key in a placeholder is found. A value that cannot be resolved is added to
    `broken` and stays unchanged.

    The keys of a section are without its prefix, but its placeholders may refer to all of the
    sources.
    """
    unresolved = {
        key: value
        for key, value in merged.values.items()
        if isinstance(value, str) and "${" in value
    }
    if not unresolved:
        return
    values = _values_for_placeholders(merged, prefix, sources)
    resolver = PlaceholderResolver(_lookup(environ, values))
    for key, value in unresolved.items():
        try:
            merged.values[key] = resolver.resolve(value)
        except ConfigFormatError as error:
            merged.broken[key] = UnresolvedValue(
                key=below(prefix, key), text=value, reason=error.reason
            )


def _lookup(
    environ: Mapping[str, str], values: Mapping[str, FlatValue]
) -> Callable[[str], str | None]:
    """Return a function that returns the value of a placeholder's key, or `None`."""

    @cache
    def look_up(key: str) -> str | None:
        value: FlatValue | None = _variable_value(key, environ)
        if value is None:
            value = values.get(canonical(key))
        return None if value is None else as_text(value)

    return look_up


def _variable_value(key: str, environ: Mapping[str, str]) -> str | None:
    """Return the environment variable that sets a key; `None` if there is no such variable.

    `${redis.port}` is not the address that Kubernetes sets for a Service `redis`.
    """
    if not key:
        return None
    if (exact := environ.get(key)) is not None:
        return exact
    for name in (variable(key), snake_variable(key)):
        value = environ.get(name)
        if value is not None and not is_service_url(name, value):
            return value
    return None


def source_from_tree(name: str, tree: Mapping[str, object] | None) -> PropertySource:
    """Return the source of a tree, which may be flat or nested.

    Raises:
        ConfigFormatError: It is too deep, too large, or of other types than JSON has.
    """
    return PropertySource(name=name, source=flatten(copy_properties(tree or {})))


def keys_below(prefix: str, source: PropertySource) -> Mapping[str, FlatValue]:
    """Return the properties below a prefix, without it; all properties for an empty one."""
    if not prefix:
        return source.source
    start = canonical(prefix) + "."
    count = start.count(".")
    return {
        without_prefix(key, count): value
        for key, value in source.source.items()
        if canonical(key).startswith(start)
    }


def with_prefix(prefix: str, source: PropertySource) -> PropertySource:
    """Return a source with a prefix before all its keys."""
    return PropertySource(
        name=source.name,
        source={below(prefix, key): value for key, value in source.source.items()},
        origins={below(prefix, key): origin for key, origin in source.origins.items()},
    )


class Origin(NamedTuple):
    """The origin of a value."""

    source: str
    """The property source, such as `main/orders-prod.yaml` or `environment`."""
    key: str
    """As spelled in the source."""
    line: int | None = None
    """Counted from 1, if the source has it."""
    column: int | None = None
    """Counted from 1, if the source has it."""
    note: str | None = None
    """An origin of another form than line and column."""

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.source}, line {self.line}, column {self.column}"
        return self.source if self.note is None else f"{self.source} ({self.note})"


class Explanation(NamedTuple):
    """The origin of a property, and the origins it takes precedence over. Shows no value."""

    key: str
    winner: Origin
    losers: tuple[Origin, ...]
    """The highest precedence first."""

    def __str__(self) -> str:
        lines = [f"{self.key} comes from {self.winner}"]
        lines += [f"  instead of {loser.key!r} in {loser}" for loser in self.losers]
        return "\n".join(lines)


class Explainer:
    """Explains where values come from. Reads all keys once, for any number of questions.

    A list takes precedence, as a whole, over lists and single values of that name in all other
    sources.

    Args:
        sources: The highest precedence first.
    """

    def __init__(self, sources: Sequence[PropertySource]) -> None:
        self._lists = lists_in(source.source for source in sources)
        self._groups: dict[str, list[tuple[PropertySource, str, str]]] = {}
        for source in sources:
            for key in source.source:
                name = canonical(key)
                self._groups.setdefault(self._group(name), []).append((source, key, name))

    def _group(self, name: str) -> str:
        """Return the canonical name of the list that contains a name, or the name itself."""
        outer = list_of(name, self._lists)
        return name if outer is None else outer

    def explain(self, shown: str, key: str) -> Explanation:
        """Return the explanation of a property.

        `shown` is its key as the user spells it, without the prefix of a section, and `key` as
        the source with the highest precedence spells it.
        """
        wanted = canonical(key)
        group = self._groups[self._group(wanted)]
        holder = next(source for source, other, _ in group if other == key)
        losers = [
            _origin_in(source, other)
            for source, other, name in group
            if source is not holder or (other != key and name == wanted)
        ]
        return Explanation(key=shown, winner=_origin_in(holder, key), losers=tuple(losers))


def _origin_in(source: PropertySource, key: str) -> Origin:
    text = source.origins.get(key)
    line, _, column = (text or "").partition(":")
    if not (line.isdecimal() and column.isdecimal()):
        return Origin(source=source.name, key=key, note=text)
    return Origin(source=source.name, key=key, line=int(line), column=int(column))
