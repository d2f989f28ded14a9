"""The nodes of a YAML or JSON text, with their positions in the text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pyfly.config_core import JsonValue

__all__ = [
    "AliasNode",
    "Entry",
    "MappingNode",
    "Node",
    "Pair",
    "ScalarNode",
    "SequenceNode",
    "nodes_below",
    "skip_gap",
]

_GAP: Final = re.compile("(?:[ \t\r\n\x85\u2028\u2029]+|#[^\r\n\x85\u2028\u2029]*)*+")
"""Possessive, because it would otherwise remember each step, at 400 bytes a step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """A value in a text. Two nodes are equal only if they are the same node."""

    start: int
    """The beginning, with the anchor and the tag."""
    end: int
    """The end, without blank lines and comments that follow."""
    body: int
    """The beginning behind the anchor and the tag."""
    value: JsonValue = field(repr=False)
    """The value with aliases written out. It is shared and must not be changed."""
    anchor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalarNode(Node):
    """A single value."""

    style: str = ""
    """The first character of a quoted text or of a block, empty for a plain value."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AliasNode(Node):
    """A reference to a node with an anchor."""

    target: Node = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A key and its value in a mapping."""

    key: str | None
    """The key as a text; `None` for the merge key `<<`."""
    key_node: Node
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MappingNode(Node):
    """A mapping."""

    pairs: tuple[Pair, ...]
    is_flow: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SequenceNode(Node):
    """A list."""

    items: tuple[Node, ...]
    is_flow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A pair of a mapping or an item of a list, from its `?` or `-` to the end of its value."""

    start: int
    end: int
    behind: int | None
    """The position behind the `:` or `-`; `None` if a pair has no `:`."""


def nodes_below(node: Node) -> Iterator[Node]:
    """Yield a node and everything inside of it, without the targets of aliases."""
    open_nodes = [node]
    while open_nodes:
        one = open_nodes.pop()
        yield one
        if isinstance(one, MappingNode):
            for pair in reversed(one.pairs):
                open_nodes += pair.node, pair.key_node
        elif isinstance(one, SequenceNode):
            open_nodes += reversed(one.items)


def skip_gap(text: str, position: int) -> int:
    """Return the position behind blanks, line breaks and comments."""
    found = _GAP.match(text, position)
    return position if found is None else found.end()
