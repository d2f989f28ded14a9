"""Properties as a tree of nodes, which conversions walk and `tree()` shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from pyfly.config_client._merging import MergedProperties, UnresolvedValue
from pyfly.config_client._names import MAX_ELEMENTS, elements, is_index, join, quoted
from pyfly.config_core import FlatValue, JsonValue
from pyfly.config_core.limits import MAX_DEPTH

NodeValue: TypeAlias = FlatValue | UnresolvedValue | None


@dataclass(slots=True, eq=False)
class Node:
    """One element of a name: what the name itself holds, and what lies below it.

    Both may be there, as after `feature: false` in one file and `feature.enabled` in another.
    """

    name: str
    """As it is spelt."""
    in_brackets: bool = False
    value: NodeValue = field(default=None, repr=False)
    """`None` where only deeper names have values."""
    children: "dict[str, Node]" = field(default_factory=dict[str, "Node"])
    """By the canonical form of their names."""

    def read(self) -> FlatValue | None:
        """Return the value of the name itself, or `None`.

        Raises:
            PropertyTypeError: Its placeholders cannot be resolved.
        """
        if isinstance(self.value, UnresolvedValue):
            raise self.value.error()
        return self.value

    def find(self, name: str) -> "Node | None":
        """Return the node that a canonical name leads to from here."""
        node: Node | None = self
        for element in name.split(".", MAX_ELEMENTS - 1):
            node = None if node is None else node.children.get(element)
        return node

    def items(self) -> "list[Node]":
        """Return the elements of a list: the children `0`, `1`, … as far as they go."""
        found: list[Node] = []
        while (node := self.children.get(str(len(found)))) is not None:
            found.append(node)
        return found

    def indexes(self) -> list[int]:
        """Return the names of all children that are indexes in brackets."""
        return [
            int(node.name)
            for node in self.children.values()
            if node.in_brackets and is_index(node.name)
        ]

    def is_list(self) -> bool:
        """True if all children are indexes from 0 on, and more of them are there than missing."""
        indexes = self.indexes()
        return (
            "0" in self.children
            and len(indexes) == len(self.children)
            and max(indexes) < 2 * len(indexes)
        )


def build_tree(merged: MergedProperties) -> Node:
    """Return the root of the tree of all properties."""
    root = Node("")
    parents: dict[str, Node] = {}
    for name, key in merged.spellings.items():
        head, dot, tail = name.rpartition(".")
        if dot and "[" not in key and (parent := parents.get(head)) is not None:
            node = parent.children.get(tail)
            if node is None:
                node = parent.children[tail] = Node(key[key.rindex(".") + 1 :])
        else:
            parent, node = _descend(root, name, key)
            if dot and name.count(".") < MAX_ELEMENTS:
                parents[head] = parent
        node.value = merged.peek(key)
    return root


def _descend(root: Node, name: str, key: str) -> tuple[Node, Node]:
    """Return the node of a name and the one above it; both are made if there are none."""
    above = node = root
    spelt = elements(key)
    steps = name.split(".", MAX_ELEMENTS - 1)
    if len(spelt) > MAX_ELEMENTS:
        spelt[MAX_ELEMENTS - 1 :] = [(join(spelt[MAX_ELEMENTS - 1 :]), False)]
    for step, (text, in_brackets) in zip(steps, spelt, strict=True):
        above, found = node, node.children.get(step)
        node = found or node.children.setdefault(step, Node(text, in_brackets))
    return above, node


def node_from_json(name: str, tree: object, depth: int = 0) -> Node:
    """Return a node for a tree of JSON; nulls and empty lists are empty texts.

    Raises:
        ValueError: It is deeper than 64 levels.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    node = Node(name)
    if isinstance(tree, Mapping):
        for key, value in cast("Mapping[str, object]", tree).items():  # JSON has no other keys
            node.children[quoted(key)] = node_from_json(key, value, depth + 1)
    elif isinstance(tree, list) and tree:
        for index, value in enumerate(cast("list[object]", tree)):
            below = node.children[str(index)] = node_from_json(str(index), value, depth + 1)
            below.in_brackets = True
    else:
        node.value = tree if isinstance(tree, bool | int | float | str) else ""
    return node


def plain(node: Node) -> JsonValue:
    """Return a node as mappings, lists and single values.

    Indexes that begin at 0 make a list, whose gaps are nulls; where more is missing than there
    is, and everywhere else, they are the keys of a mapping. Where a name has a value and there
    are deeper names, these are what is returned.

    Raises:
        PropertyTypeError: The placeholders of a value cannot be resolved.
    """
    if not node.children:
        return node.read()
    if node.is_list():
        listed: list[JsonValue] = [None] * (max(node.indexes()) + 1)
        for child in node.children.values():
            listed[int(child.name)] = plain(child)
        return listed
    return {child.name: plain(child) for child in node.children.values()}
