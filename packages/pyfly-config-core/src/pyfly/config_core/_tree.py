"""From flat keys back to a tree, for the flattened formats (contract §4.3)."""

import re
from collections.abc import Mapping
from typing import Final

from pyfly.config_core._properties import FlatValue, JsonValue
from pyfly.config_core.errors import ConfigFormatError
from pyfly.config_core.limits import MAX_DEPTH, MAX_PROPERTIES

_PART: Final = re.compile(r"(?s)(.+?)((?:\[[0-9]+\])*)")
_INDEX: Final = re.compile(r"\[([0-9]+)\]")
_SHOWN_KEY_LENGTH: Final = 100


def rebuild(flat: Mapping[str, FlatValue]) -> dict[str, JsonValue]:
    """Return the tree that flat keys stand for, inserted in their order.

    Keys are split at dots; `[3]` behind a part is an index into a list, whose gaps are filled
    with nulls; other brackets belong to the key. Where a part of a key is a single value
    already, the rest becomes one key beside it; a later single value replaces a mapping.

    >>> rebuild({"a.b": "x", "a.b.c": "y", "l[1]": 9, "p[/**]": True})
    {'a': {'b': 'x', 'b.c': 'y'}, 'l': [None, 9], 'p[/**]': True}

    Raises:
        ConfigFormatError: A key is malformed, as in `a..b`, `.a`, `[0]` and `a[0]b`, is nested
            too deeply, stands for a mapping here and a list there, or an index leaves too many
            gaps.
    """
    tree: dict[str, JsonValue] = {}
    gaps = 0
    for key, value in flat.items():
        steps = _steps(key)
        try:
            gaps += _insert(tree, steps, value)
        except ConfigFormatError as error:
            raise ConfigFormatError(f"{_shown(key)}: {error.reason}") from error
        if gaps > MAX_PROPERTIES:
            raise ConfigFormatError(f"{_shown(key)} leaves too many gaps in a list")
    return tree


def _steps(key: str) -> list[str | int]:
    """Split a key into names and indexes."""
    steps: list[str | int] = []
    parts = key.split(".")
    if not parts[-1] and all(parts[:-1]):  # the last name alone may be empty
        return [*(_steps(key[:-1]) if key else []), ""]
    for part in parts:
        found = _PART.fullmatch(part)
        if found is None or _INDEX.search(found[1]):
            raise ConfigFormatError(f"the key {_shown(key)} is malformed")
        steps.append(found[1])
        steps += [_index(text, key) for text in _INDEX.findall(found[2])]
    if len(steps) > MAX_DEPTH:
        raise ConfigFormatError(f"the key {_shown(key)} is nested deeper than {MAX_DEPTH} levels")
    return steps


def _index(digits: str, key: str) -> int:
    if len(digits) > len(str(MAX_PROPERTIES)) or int(digits) >= MAX_PROPERTIES:
        raise ConfigFormatError(f"the key {_shown(key)} has an index that is too large")
    return int(digits)


def _insert(tree: dict[str, JsonValue], steps: list[str | int], value: FlatValue) -> int:
    """Put a value in its place; return how many gaps that made."""
    node: dict[str, JsonValue] | list[JsonValue] = tree
    gaps = 0
    for position, step in enumerate(steps):
        following = steps[position + 1] if position + 1 < len(steps) else None
        if isinstance(node, dict):
            name = str(step)
            if following is not None and _is_single(node, name):
                node[_compound(steps[position:])] = value
                return gaps
            below = value if following is None else _below(node.get(name), following)
            node[name] = below
        else:
            index = int(step)
            gaps += max(0, index - len(node))
            node += [None] * (index + 1 - len(node))
            below = value if following is None else _below(node[index], following)
            node[index] = below
        if isinstance(below, dict | list):
            node = below
    return gaps


def _is_single(node: dict[str, JsonValue], name: str) -> bool:
    return name in node and not isinstance(node[name], dict | list)


def _below(found: JsonValue, following: str | int) -> dict[str, JsonValue] | list[JsonValue]:
    """Return the mapping or list that takes the following step, a new one if need be."""
    new: dict[str, JsonValue] | list[JsonValue] = [] if isinstance(following, int) else {}
    if not isinstance(found, dict | list):
        return new
    if type(found) is not type(new):
        raise ConfigFormatError("a key is a mapping in one place and a list in another")
    return found


def _compound(steps: list[str | int]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def _shown(key: str) -> str:
    return repr(key[:_SHOWN_KEY_LENGTH])
