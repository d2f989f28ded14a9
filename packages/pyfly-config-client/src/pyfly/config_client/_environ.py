"""The environment of the process: variables as properties, and values for placeholders."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from pyfly.config_client._merging import (
    MergedProperties,
    UnresolvedValue,
    as_text,
    merge_sources,
)
from pyfly.config_core import ConfigFormatError, FlatValue, PlaceholderResolver, PropertySource
from pyfly.config_core.property_names import (
    below,
    canonical,
    elements,
    is_index,
    join,
    snake_variable,
    variable,
)
from pyfly.config_core.service_links import is_service_url

_NO_LETTERS: Final = re.compile(r"[^A-Z0-9]+")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Z0-9_]")


def environment_source(
    keys: Iterable[str], environ: Mapping[str, str], prefix: str = ""
) -> PropertySource:
    """Return the environment variables that set keys, as a source; their names are the origins.

    `db.pool-size` is set by `DB_POOLSIZE`, or else by `DB_POOL_SIZE`, as in Spring; names in
    lower case are read if those are not set. A list is set as a whole by `HOSTS=a,b`, or else by
    `HOSTS_0`, `HOSTS_1`, …, which may be more than the list had. Addresses that Kubernetes sets
    for Services are ignored: `REDIS_PORT=tcp://10.0.0.1:6379` does not set `redis.port`.

    Args:
        keys: The keys of all other sources, in all their spellings.
        environ: Names to values.
        prefix: The start of the names.
    """
    environ = {name: value for name, value in environ.items() if not is_service_url(name, value)}
    lists: dict[str, list[tuple[str, str, str]]] = {}
    wanted: dict[str, None] = {}
    for key in keys:
        if (parts := _at_index(key)) is None:
            wanted[key] = None
        else:
            wanted[parts[0]] = None
            lists.setdefault(canonical(parts[0]), []).append(parts)
    names = _Names(environ, prefix, [*wanted, *(_join_at(*p) for ps in lists.values() for p in ps)])
    found = names.set_among(wanted)
    whole = {canonical(key) for key in found}
    for name, listed in lists.items():
        if name not in whole:
            found |= names.set_among(_elements(listed, names))
    return PropertySource(
        name="environment",
        source={key: environ[name] for key, name in found.items()},
        origins=found,
    )


def key_for_variable(name: str, spellings: Mapping[str, str]) -> str | None:
    """Return the key that a variable sets; `None` if it sets no key.

    >>> key_for_variable("DB_POOL_SIZE", {"db.url": "db.url", "db.poolsize": "db.pool-size"})
    'db.pool-size'

    Args:
        name: The name of the variable.
        spellings: Canonical names to keys.
    """
    letters = _letters(name)
    wanted = letters.lower()
    found: str | None = None
    for canonical_name, key in spellings.items():
        plain = canonical_name.replace(".", "")
        if plain != wanted and (plain.isalnum() or _letters(plain) != letters):
            continue
        if variable(key) == name:
            return key
        if found is None and snake_variable(key) == name:
            found = key
    return found


def _at_index(key: str) -> tuple[str, str, str] | None:
    """Return the parts of a key before, in and after its first index; `None` without one."""
    if "[" not in key:
        return None
    parts = elements(key)
    for place, (name, in_brackets) in enumerate(parts):
        if in_brackets and is_index(name):
            return join(parts[:place]), name, join(parts[place + 1 :])
    return None


def _join_at(stem: str, index: str, rest: str) -> str:
    """Return the key that `_at_index` split into these parts."""
    dot = "." if rest and rest[0] != "[" else ""
    return f"{stem}[{index}]{dot}{rest}"


def _elements(listed: list[tuple[str, str, str]], names: "_Names") -> Iterator[str]:
    """Yield the keys of a list that variables may set: existing and following elements."""
    for parts in listed:
        yield _join_at(*parts)
    shapes = dict.fromkeys((stem, rest) for stem, _, rest in listed)
    index, going_on = 0, True
    while going_on:
        made = [_join_at(stem, str(index), rest) for stem, rest in shapes]
        yield from made
        going_on = any(names.of(key) is not None for key in made)
        index += 1


class _Names:
    """The variables of an environment, looked up by key."""

    def __init__(self, environ: Mapping[str, str], prefix: str, keys: Iterable[str]) -> None:
        self._prefix = _folded(prefix)
        self._variables = {_folded(name): name for name in environ}
        self._variables.update((name, name) for name in environ if name in self._variables)
        self._letters = {_letters(name) for name in environ}
        self._start = _letters(prefix)
        likely = (key for key in keys if self._is_likely(key))
        self._claimed = {variable(key): canonical(key) for key in likely}

    def _is_likely(self, key: str) -> bool:
        """True if a variable has the letters and digits of a key; a fast test for most keys."""
        return self._start + _letters(key) in self._letters

    def of(self, key: str) -> str | None:
        """Return the name of the variable that sets a key; `None` if it is not set."""
        if not self._is_likely(key):
            return None
        found = self._variables.get(self._prefix + variable(key))
        if found is None:
            second = snake_variable(key)
            if self._claimed.get(second, canonical(key)) == canonical(key):
                found = self._variables.get(self._prefix + second)
        return found

    def set_among(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the keys that are set, each in one spelling, and the names of the variables."""
        found: dict[str, tuple[str, str]] = {}
        for key in keys:
            if (name := self.of(key)) is not None:
                found.setdefault(canonical(key), (key, name))
        return dict(found.values())


def _letters(name: str) -> str:
    return _NO_LETTERS.sub("", name.upper())


def _folded(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name.upper())


def placeholder_values(
    prefix: str, section: MergedProperties, sources: Sequence[PropertySource]
) -> Mapping[str, FlatValue]:
    """Return the values that placeholders in a section refer to, by whole canonical names.

    Args:
        prefix: The prefix of the section.
        section: The merged properties below the prefix, without the prefix.
        sources: The whole sources, the highest precedence first.
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
    whole: Mapping[str, FlatValue] | None = None,
) -> None:
    """Resolve placeholders in place, against variables first and then against the values.

    Any spelling of a key in a placeholder is found. A value that cannot be resolved is added to
    `broken` and stays unchanged.

    Args:
        merged: The properties to resolve.
        environ: Names to values.
        prefix: The start of keys in messages.
        whole: The values that placeholders refer to, by canonical names, instead of `merged`.
    """
    unresolved = {
        key: value
        for key, value in merged.values.items()
        if isinstance(value, str) and "${" in value
    }
    if not unresolved:
        return
    if whole is None:
        whole = {name: merged.values[key] for name, key in merged.spellings.items()}
    resolver = PlaceholderResolver(_lookup(environ, whole))
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
