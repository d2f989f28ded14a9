"""Property sources merged by canonical names, and their placeholders resolved. Pure functions."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Final, TypeAlias

from pyfly.config_client._names import (
    MAX_ELEMENTS,
    below,
    canonical,
    elements,
    is_index,
    snake_variable,
    variable,
    without_prefix,
)
from pyfly.config_client.errors import PropertyTypeError
from pyfly.config_core import (
    ConfigFormatError,
    FlatValue,
    PlaceholderResolver,
    PropertySource,
    copy_properties,
    flatten,
)

_INDEXED: Final = re.compile(r"\.[0-9]")
"""Found in the canonical name of every key that has an index behind a name."""
_INDEX: Final = re.compile(r"\.(?:0|[1-9][0-9]{0,8})(?![^.])")
"""An index behind a name, up to the next dot."""
_FIRST: Final = ("0", True)
"""The element of a key that makes a list: the index 0 in brackets."""
_RETIRED_KEY: Final = "spring.profiles"

_Named: TypeAlias = "tuple[str, FlatValue]"
"""A key as it is spelt, and its value."""
_Values: TypeAlias = Mapping[str, FlatValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnresolvedValue:
    """Stands for a value whose placeholders cannot be resolved."""

    key: str = field(compare=False)
    text: str = field(repr=False)
    """As the source has it."""
    reason: str = field(compare=False)

    def error(self) -> PropertyTypeError:
        """Return what is raised when the value is read."""
        return PropertyTypeError(f"the property {self.key!r} cannot be resolved: {self.reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedProperties:
    """What several sources say together."""

    values: dict[str, FlatValue] = field(repr=False)
    """By the spelling of the source that wins."""
    spellings: dict[str, str]
    """From canonical names to these spellings."""
    broken: dict[str, UnresolvedValue] = field(default_factory=dict[str, "UnresolvedValue"])
    """Keys whose placeholders cannot be resolved."""
    placeholders: bool = True
    """Whether placeholders are resolved; else they are part of the values."""

    def read(self, key: str) -> FlatValue:
        """Return the value of a key.

        Raises:
            PropertyTypeError: Its placeholders cannot be resolved.
        """
        if key in self.broken:
            raise self.broken[key].error()
        return self.values[key]

    def peek(self, key: str) -> FlatValue | UnresolvedValue:
        """Return the value of a key, or why there is none."""
        return self.broken.get(key) or self.values[key]


def merge_sources(sources: Sequence[Mapping[str, FlatValue]]) -> MergedProperties:
    """Return what sources say together; the highest one that has a property wins.

    Spellings of one name are one property. A list is taken whole from the highest source that
    has any element of it. Indexes in brackets make a list if one source has the index 0; others
    are the keys of a mapping, which is merged. Plain properties come first, in the order of
    their first appearance from the lowest source up; lists follow.

    >>> merge_sources([{"db.pool-size": 2, "l[0]": "z"}, {"db.poolSize": 1, "l[1]": "b"}]).values
    {'db.pool-size': 2, 'l[0]': 'z'}

    Args:
        sources: Highest precedence first.
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
    )


def _by_name(
    source: Mapping[str, FlatValue], lists: Collection[str]
) -> tuple[dict[str, _Named], dict[str, dict[str, _Named]]]:
    """Return the plain properties of one source, and its lists by their names."""
    plain: dict[str, _Named] = {}
    groups: dict[str, dict[str, _Named]] = {}
    for named in source.items():
        key = named[0]
        place, name = plain, canonical(key)
        indexed = lists and (_INDEXED.search(name) or name[:1].isdigit())
        if indexed and (stem := list_of(name, lists)) is not None:
            place = groups.setdefault(stem, {})
        if name not in place or _rank(key) > _rank(place[name][0]):
            place[name] = named
    for stem in plain.keys() & groups.keys():
        del groups[stem]  # as Spring: the value of the name itself, such as a comma list
    return plain, groups


def _rank(key: str) -> int:
    """Return how near the spelling of a key is to Spring's own, for two in one source."""
    if "_" in key:
        return 1
    return 2 if "-" in key and key.islower() else 0


def lists_in(sources: Iterable[Mapping[str, FlatValue]]) -> Collection[str]:
    """Return the canonical names of lists: what has an index 0 in brackets in a source.

    Lists within lists are left out, because the outer one is what is taken whole.
    """
    found: set[str] = set()
    for key in (key for source in sources for key in source if "[0]" in key):
        parts = elements(key)[:MAX_ELEMENTS]
        if _FIRST in parts:
            forms = canonical(key).split(".", MAX_ELEMENTS)
            found.add(".".join(forms[: parts.index(_FIRST)]))
    return found


def list_of(name: str, lists: Collection[str]) -> str | None:
    """Return the outermost of these lists that a canonical name is in, or `None`."""
    if "" in lists and is_index(name.partition(".")[0]):
        return ""
    stems = (name[: index.start()] for index in islice(_INDEX.finditer(name), MAX_ELEMENTS))
    return next((stem for stem in stems if stem in lists), None)


def placeholder_values(
    prefix: str, section: MergedProperties, sources: Sequence[PropertySource]
) -> _Values:
    """Return what placeholders in a section find, by canonical names with the prefix.

    Args:
        prefix: Of the section.
        section: What sources say below the prefix, without it.
        sources: The same ones, whole; highest precedence first.
    """
    start = canonical(prefix) + "."
    whole = merge_sources([source.source for source in sources])
    found = {name: whole.values[key] for name, key in whole.spellings.items()}
    outer = {name: value for name, value in found.items() if not name.startswith(start)}
    return outer | {start + name: section.values[key] for name, key in section.spellings.items()}


def resolve(
    merged: MergedProperties,
    environ: Mapping[str, str],
    prefix: str = "",
    whole: _Values | None = None,
) -> None:
    """Resolve placeholders in place, against variables first and then the values.

    Keys in placeholders may be spelt in every way. A value that cannot be resolved is noted as
    broken and stays as it is.

    Args:
        merged: What is resolved.
        environ: Names to values.
        prefix: What comes before the keys in messages.
        whole: What placeholders find by canonical names, instead of the values.
    """
    raw = dict(merged.values)

    def value_of(name: str) -> FlatValue | None:
        if whole is not None:
            return whole.get(name)
        spelling = merged.spellings.get(name)
        return None if spelling is None else raw[spelling]

    @cache
    def look_up(key: str) -> str | None:
        found = environ.get(key) if key else None
        for name in (variable(key), snake_variable(key)) if key and found is None else ():
            value = environ.get(name)
            # `${redis.port}` is not the address that Kubernetes injects for a service `redis`.
            injected = value is not None and "://" in value and _is_service_url(name, value)
            found = value if found is None and not injected else found
        known = value_of(canonical(key)) if found is None else found
        return None if known is None else as_text(known)

    resolver = PlaceholderResolver(look_up)
    for key, value in raw.items():
        if isinstance(value, str) and "${" in value:
            try:
                merged.values[key] = resolver.resolve(value)
            except ConfigFormatError as error:
                merged.broken[key] = UnresolvedValue(
                    key=below(prefix, key), text=value, reason=error.reason
                )


def _is_service_url(name: str, value: str) -> bool:
    from pyfly.config_core.service_links import is_service_url  # noqa: PLC0415 - if need be

    return is_service_url(name, value)


def as_text(value: FlatValue) -> str:
    """Return a value as text; truth values as `true` and `false`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def source_from_tree(name: str, tree: Mapping[str, object] | None) -> PropertySource:
    """Return a tree, flat or nested, as a source.

    Raises:
        ConfigFormatError: It is too deep, too large, or of other types than JSON has.
    """
    return PropertySource(name=name, source=flatten(copy_properties(tree or {})))


def keys_below(prefix: str, source: PropertySource) -> Mapping[str, FlatValue]:
    """Return what lies below a prefix, without it; everything for an empty one."""
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
