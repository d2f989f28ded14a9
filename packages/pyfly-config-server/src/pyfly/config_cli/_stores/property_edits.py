"""Setting and removing single properties of a tree by their flat keys. Pure functions."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pyfly.config_core import ConfigFormatError, JsonValue, copy_properties

_INDEX: Final = re.compile(r"\[(0|[1-9][0-9]{0,8})\](?:\.(.*)|(\[.*))?", re.DOTALL)
_FIRST_ELEMENT: Final = re.compile(r"([^\[\]]+)\[0\]")


def with_property(
    properties: Mapping[str, JsonValue], key: str, value: JsonValue
) -> dict[str, JsonValue]:
    """Return a copy of the tree in which the flat key has the value.

    A key that exists gets the new value where it is. A new key goes into the deepest mapping that
    the beginning of the key names, or behind the last element of a list.

    >>> with_property({"db": {"url": "a"}}, "db.url", "b")
    {'db': {'url': 'b'}}
    >>> with_property({"db": {"url": "a"}, "hosts": ["x"]}, "hosts[1]", "y")
    {'db': {'url': 'a'}, 'hosts': ['x', 'y']}

    Raises:
        ConfigFormatError: The key names a whole mapping or list, is below a single value, or
            would leave a gap in a list.
    """
    tree = copy_properties(properties)
    positions = [*_positions(tree, key)]
    single = [(holder, name) for holder, name in positions if not _is_branch(holder[name])]
    if positions and not single:
        raise ConfigFormatError(f"{key!r} is not a single value; name one below it")
    if not positions:
        _add(tree, key, value, key)
    for holder, name in single:
        holder[name] = value
    return tree


def without_property(properties: Mapping[str, JsonValue], key: str) -> dict[str, JsonValue]:
    """Return a copy of the tree without the flat key and without everything below it.

    Raises:
        ConfigFormatError: There is no such key.
    """
    tree = copy_properties(properties)
    positions = [*_positions(tree, key)]
    for holder, name in positions:
        del holder[name]
    if not positions:
        raise ConfigFormatError(f"there is no key {key!r}")
    return tree


def values_at(properties: Mapping[str, JsonValue], key: str) -> list[JsonValue]:
    """Return the values that a flat key names; several if names with dots make it ambiguous.

    >>> values_at({"db": {"url": "a"}, "db.url": "b"}, "db.url")
    ['b', 'a']
    """
    return [holder[name] for holder, name in _positions(dict(properties), key)]


def _is_branch(value: JsonValue) -> bool:
    """True if a value is a mapping or a list that is not empty."""
    return isinstance(value, dict | list) and bool(value)


def _positions(node: JsonValue, rest: str) -> Iterator[tuple[Any, Any]]:
    """Yield the dict and the key, or the list and the index, that a flat key names."""
    if isinstance(node, dict) and rest in node:
        yield node, rest
    for holder, name, below in _steps(node, rest):
        if below is None:
            yield holder, name
        else:
            yield from _positions(holder[name], below)


def _steps(node: JsonValue, rest: str) -> Iterator[tuple[Any, Any, str | None]]:
    """Yield holder, key or index, and remaining key, of what a flat key may lie in.

    The remaining key is `None` for an element itself; behind a last dot it is empty.
    """
    if isinstance(node, dict):
        for name in sorted(node, key=len, reverse=True):
            if rest.startswith((f"{name}.", f"{name}[")):
                yield node, name, rest[len(name) :].removeprefix(".")
    elif isinstance(node, list):
        match = _INDEX.fullmatch(rest)
        if match is not None and int(match[1]) < len(node):
            yield node, int(match[1]), _below(match)


def _below(match: re.Match[str]) -> str | None:
    """Return the key behind an index; `None` if nothing is behind it."""
    return match[2] if match[3] is None else match[3]


def _add(node: JsonValue, rest: str, value: JsonValue, key: str) -> None:
    """Add a new key where its beginning leads; `key` is the whole key, for messages."""
    if (step := next(_steps(node, rest), None)) is not None:
        holder, name, below = step
        _add(holder[name], below or "", value, key)
    elif isinstance(node, list):
        match = _INDEX.fullmatch(rest)
        if match is None or int(match[1]) != len(node):
            raise ConfigFormatError(f"{key!r}: the next element of this list is [{len(node)}]")
        below = _below(match)
        new: dict[str, JsonValue] = {}
        if below is not None:
            _add(new, below, value, key)
        node.append(value if below is None else new)
    elif not isinstance(node, dict):
        raise ConfigFormatError(f"{key!r} would be below a single value; remove that one first")
    elif match := _FIRST_ELEMENT.fullmatch(rest):
        node[match[1]] = [value]
    elif "[" in rest:
        raise ConfigFormatError(f"{key!r}: there is no such list; its first element is [0]")
    else:
        node[rest] = value
