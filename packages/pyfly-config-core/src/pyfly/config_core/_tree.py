"""From flat keys back to a tree: docs/reference/protocol.md, Flattened formats."""

import re
from collections.abc import Mapping
from typing import Final

from pyfly.config_core._properties import FlatValue, JsonValue
from pyfly.config_core._quoting import shown
from pyfly.config_core.errors import ConfigFormatError
from pyfly.config_core.limits import MAX_DEPTH, MAX_NODES, MAX_PROPERTIES

_TOO_DEEP: Final = f"is nested deeper than {MAX_DEPTH} levels"
_INDEX: Final = re.compile(r"\[([0-9]+)\]")


def rebuild(flat: Mapping[str, FlatValue]) -> dict[str, JsonValue]:
    """Return the tree that flat keys stand for, inserted in their order.

    Keys are split at dots. `[3]` after a part is an index into a list, and gaps in the list are
    filled with nulls; other brackets belong to the key. If a part of a key already is a single
    value, the rest becomes one key beside it. A later single value replaces a mapping.

    >>> rebuild({"a.b": "x", "a.b.c": "y", "l[1]": 9, "p[/**]": True})
    {'a': {'b': 'x', 'b.c': 'y'}, 'l': [None, 9], 'p[/**]': True}

    Raises:
        ConfigFormatError: A key is malformed, as in `a..b`, `.a`, `[0]` and `a[0]b`, is nested
            too deeply, or is a mapping in one place and a list in another; an index leaves too
            many gaps; or the tree would have more than 50,000 mappings, lists, values and gaps.
    """
    builder = _Builder()
    for key, value in flat.items():
        try:
            builder.insert(key, value)
        except ConfigFormatError as error:
            raise ConfigFormatError(f"the key {shown(key)} {error.reason}") from error
    return builder.tree


def _steps(key: str) -> list[str | int]:
    """Return the names and indexes of a key; errors name the mistake in the key."""
    if key.count(".") > MAX_DEPTH:
        raise ConfigFormatError(_TOO_DEEP)
    parts = key.split(".")
    if not parts[-1] and all(parts[:-1]):  # the last name alone may be empty
        return [*(_steps(key[:-1]) if key else []), ""]
    steps: list[str | int] = []
    for part in parts:
        name, indexes = _name_and_indexes(part)
        if not name or _INDEX.search(name):
            raise ConfigFormatError("is malformed")
        steps.append(name)
        steps += [_index(digits) for digits in indexes]
        if len(steps) > MAX_DEPTH:
            raise ConfigFormatError(_TOO_DEEP)
    return steps


def _name_and_indexes(part: str) -> tuple[str, list[str]]:
    """Return `a` and the digits of the indexes for `a[0][1]`."""
    indexes: list[str] = []
    end = len(part)
    while end and part[end - 1] == "]":
        start = part.rfind("[", 0, end)
        digits = part[start + 1 : end - 1]
        if start < 0 or not (digits.isascii() and digits.isdigit()):
            break
        indexes.append(digits)
        end = start
    return part[:end], indexes[::-1]


def _index(digits: str) -> int:
    if len(digits) > len(str(MAX_PROPERTIES)) or int(digits) >= MAX_PROPERTIES:
        raise ConfigFormatError("has an index that is too large")
    return int(digits)


class _Builder:
    """Inserts keys into a tree and counts its nodes."""

    def __init__(self) -> None:
        self.tree: dict[str, JsonValue] = {}
        self._gaps = 0
        self._nodes = 1
        self._above: str | None = None
        """The last key up to its last dot: the next key often has the same beginning."""
        self._mapping = self.tree
        """The mapping at that key."""

    def insert(self, key: str, value: FlatValue) -> None:
        """Put a value in its place."""
        self._count(1)
        cut = key.rfind(".") + 1
        above, name = key[:cut], key[cut:]
        if name and above == self._above and "[" not in name:
            self._mapping[name] = value
            return
        self._above = None
        node = self._insert(_steps(key), value)
        if "[" not in name and isinstance(node, dict):
            self._above, self._mapping = above, node

    def _insert(
        self, steps: list[str | int], value: FlatValue
    ) -> dict[str, JsonValue] | list[JsonValue] | None:
        """Put a value in its place, starting at the root; return the mapping or list around it."""
        node: dict[str, JsonValue] | list[JsonValue] = self.tree
        for position, step in enumerate(steps):
            following = steps[position + 1] if position + 1 < len(steps) else None
            if isinstance(node, dict):
                name = str(step)
                if following is not None and _is_single(node, name):
                    node[_compound(steps[position:])] = value
                    return None
                below = value if following is None else self._below(node.get(name), following)
                node[name] = below
            else:
                index = int(step)
                self._extend(node, index)
                below = value if following is None else self._below(node[index], following)
                node[index] = below
            if isinstance(below, dict | list):
                node = below
        return node

    def _below(
        self, found: JsonValue, following: str | int
    ) -> dict[str, JsonValue] | list[JsonValue]:
        """Return the mapping or list for the following step; make it if it is missing."""
        new: dict[str, JsonValue] | list[JsonValue] = [] if isinstance(following, int) else {}
        if not isinstance(found, dict | list):
            self._count(1)
            return new
        if type(found) is not type(new):
            raise ConfigFormatError("is a mapping in one place and a list in another")
        return found

    def _extend(self, node: list[JsonValue], index: int) -> None:
        """Make a list long enough for an index."""
        gaps = max(0, index - len(node))
        self._gaps += gaps
        self._count(gaps)
        if self._gaps > MAX_PROPERTIES:
            raise ConfigFormatError("leaves too many gaps in a list")
        node += [None] * (index + 1 - len(node))

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise ConfigFormatError(f"makes more than {MAX_NODES:,} mappings, lists and values")


def _is_single(node: dict[str, JsonValue], name: str) -> bool:
    return name in node and not isinstance(node[name], dict | list)


def _compound(steps: list[str | int]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")
