"""Properties as a tree of nodes, used by conversions and by `Properties.tree`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from pyfly.config_client._merging import MAX_ELEMENTS, MergedProperties, UnresolvedValue
from pyfly.config_core import FlatValue, JsonValue
from pyfly.config_core.limits import MAX_DEPTH
from pyfly.config_core.property_names import elements, is_index, join, quoted

NodeValue: TypeAlias = FlatValue | UnresolvedValue | None


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """A name: its own value, and the names below it.

    A name may have both, as with `feature: false` in one file and `feature.enabled` in another.
    """

    name: str
    """The last element of the name, as spelled."""
    in_brackets: bool = False
    value: NodeValue = None
    """`None` if only names below it have values."""
    children: "dict[str, Node]" = field(default_factory=dict[str, "Node"])
    """By their canonical names."""

    def read(self) -> FlatValue | None:
        """Return the value of the name itself; `None` if it has no value.

        Raises:
            PropertyTypeError: Its placeholders cannot be resolved.
        """
        if isinstance(self.value, UnresolvedValue):
            raise self.value.error()
        return self.value

    def find(self, name: str) -> "Node | None":
        """Return the node of a canonical name below this one; `None` if there is no such name."""
        node: Node | None = self
        for element in name.split(".", MAX_ELEMENTS - 1):
            node = None if node is None else node.children.get(element)
        return node

    def items(self) -> "list[Node]":
        """Return the elements of a list: the children `0`, `1`, … up to the first gap."""
        found: list[Node] = []
        while (node := self.children.get(str(len(found)))) is not None:
            found.append(node)
        return found

    def indexes(self) -> list[int]:
        """Return the indexes of all children whose names are indexes in brackets."""
        return [
            int(node.name)
            for node in self.children.values()
            if node.in_brackets and is_index(node.name)
        ]

    def is_list(self) -> bool:
        """True if all children are indexes from 0, and fewer are missing than present."""
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
    """Return the node of a name and its parent; create those that do not exist."""
    above = node = root
    spelled = elements(key)
    steps = name.split(".", MAX_ELEMENTS - 1)
    if len(spelled) > MAX_ELEMENTS:
        spelled[MAX_ELEMENTS - 1 :] = [(join(spelled[MAX_ELEMENTS - 1 :]), False)]
    for step, (text, in_brackets) in zip(steps, spelled, strict=True):
        above, found = node, node.children.get(step)
        node = found or node.children.setdefault(step, Node(text, in_brackets))
    return above, node


def node_from_json(name: str, tree: object, depth: int = 0) -> Node:
    """Return a node for decoded JSON; nulls and empty lists become empty texts.

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

    Indexes from 0 make a list, with `None` in gaps. If more indexes are missing than present, or
    the index 0 is missing, they are keys of a mapping. If a name has both a value and names below
    it, the latter are returned.

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
