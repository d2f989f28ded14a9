"""Setting and removing single properties of a nested tree by their flat keys. Pure functions."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pyfly.config_core import ConfigFormatError, JsonValue, copy_properties

_INDEX: Final = re.compile(r"\[(0|[1-9][0-9]{0,8})\]\.?(.*)", re.DOTALL)
_FIRST_ELEMENT: Final = re.compile(r"([^\[\]]+)\[0\]")


def assigned(
    properties: Mapping[str, JsonValue], key: str, value: JsonValue
) -> dict[str, JsonValue]:
    """Return a copy of the tree in which the flat key has the value.

    The place that gives the key now is changed. A new key goes into the deepest mapping that the
    beginning of the key names, or behind the last element of a list.

    >>> assigned({"db": {"url": "a"}}, "db.url", "b")
    {'db': {'url': 'b'}}
    >>> assigned({"db": {"url": "a"}, "hosts": ["x"]}, "hosts[1]", "y")
    {'db': {'url': 'a'}, 'hosts': ['x', 'y']}

    Raises:
        ConfigFormatError: The key names a whole mapping or list, is below a single value, or
            would leave a gap in a list.
    """
    tree = copy_properties(properties)
    places = [*_places(tree, key)]
    single = [(holder, name) for holder, name in places if not _is_below(holder[name])]
    if places and not single:
        raise ConfigFormatError(f"{key!r} is not a single value; name one below it")
    if not places:
        _add(tree, key, value, key)
    for holder, name in single:
        holder[name] = value
    return tree


def removed(properties: Mapping[str, JsonValue], key: str) -> dict[str, JsonValue]:
    """Return a copy of the tree without the flat key and without everything below it.

    Raises:
        ConfigFormatError: There is no such key.
    """
    tree = copy_properties(properties)
    places = [*_places(tree, key)]
    for holder, name in places:
        del holder[name]
    if not places:
        raise ConfigFormatError(f"there is no key {key!r}")
    return tree


def _is_below(value: JsonValue) -> bool:
    """Tell whether a value is a mapping or a list with something in it."""
    return isinstance(value, dict | list) and bool(value)


def _places(node: JsonValue, rest: str) -> Iterator[tuple[Any, Any]]:
    """Yield the dict and the key, or the list and the index, that a flat key names."""
    if isinstance(node, dict) and rest in node:
        yield node, rest
    for holder, name, below in _steps(node, rest):
        if below:
            yield from _places(holder[name], below)
        else:
            yield holder, name


def _steps(node: JsonValue, rest: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield holder, key or index, and remaining key, of what a flat key may lie in."""
    if isinstance(node, dict):
        for name in sorted(node, key=len, reverse=True):
            if rest.startswith((f"{name}.", f"{name}[")):
                yield node, name, rest[len(name) :].removeprefix(".")
    elif isinstance(node, list):
        found = _INDEX.fullmatch(rest)
        if found is not None and int(found[1]) < len(node):
            yield node, int(found[1]), found[2]


def _add(node: JsonValue, rest: str, value: JsonValue, key: str) -> None:
    """Put a new key where its beginning leads; `key` is the whole of it, for messages."""
    if (step := next(_steps(node, rest), None)) is not None:
        holder, name, below = step
        _add(holder[name], below, value, key)
    elif isinstance(node, list):
        found = _INDEX.fullmatch(rest)
        if found is None or int(found[1]) != len(node):
            raise ConfigFormatError(f"{key!r}: the next element of this list is [{len(node)}]")
        node.append({found[2]: value} if found[2] else value)
    elif not isinstance(node, dict):
        raise ConfigFormatError(f"{key!r} would be below a single value; remove that one first")
    elif found := _FIRST_ELEMENT.fullmatch(rest):
        node[found[1]] = [value]
    elif "[" in rest:
        raise ConfigFormatError(f"{key!r}: there is no such list; its first element is [0]")
    else:
        node[rest] = value
