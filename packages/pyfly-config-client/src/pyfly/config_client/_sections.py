"""Sections: the tree of all properties, and readers of lists, mappings and classes."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, repeat
from typing import Any, Final, Literal, TypeAlias, cast

from pyfly.config_client._merging import MAX_ELEMENTS, MergedProperties, UnresolvedValue
from pyfly.config_client._scalars import ABSENT, MISMATCH, Make, Reader, fault, guarded
from pyfly.config_client._types import Field, Model, Option, rejections, type_name
from pyfly.config_core import FlatValue, JsonValue
from pyfly.config_core.limits import MAX_DEPTH, MAX_PROPERTIES
from pyfly.config_core.property_names import Element, below, elements, is_index, join, quoted

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


# --- readers --------------------------------------------------------------------------

Kind: TypeAlias = Literal["single", "list", "other"]
"""Where the keys of a mapping end: at a value, at a list, or at the next dot."""

_NO_SECTION: Final = "is not a section"


def child_path(path: str, node: Node) -> str:
    """Return the name of the property of a child node."""
    return below(path, f"[{node.name}]" if node.in_brackets else node.name)


def find_field(one: Field, section: Node) -> tuple[Option, Node] | None:
    """Return the first way to fill a field for which there is a property, and its node."""
    for option in one.options:
        for name in option.names:
            if (found := section.find(name)) is not None:
                return option, found
    return None


def _present(result: object, path: str, faults: list[str]) -> Any:
    """Return a value; add a fault if it is an empty text."""
    return fault(faults, path, "is empty") if result is ABSENT else result


def _read_raw(node: Node, _: str, __: list[str]) -> Any:
    return plain(node)


read_raw: Final[Reader] = guarded(_read_raw)
"""Returns mappings, lists and single values without conversion."""


# --- lists ----------------------------------------------------------------------------


def list_reader(make: Make, read_item: Reader) -> Reader:
    """Return the reader of a list, a set or a tuple of any length."""

    def read(node: Node, path: str, faults: list[str]) -> Any:
        before = len(faults)
        done = _converted(_items(node, path, faults), repeat(read_item), path, faults)
        return _made(make, done, path, faults) if len(faults) == before else None

    return guarded(read)


def _made(make: Make, content: object, path: str, faults: list[str]) -> Any:
    """Return a container; add a fault if it rejects its content, as a set rejects lists."""
    try:
        return make(content)
    except MISMATCH as error:
        text = f"cannot be an element of {type_name(make)} ({type(error).__name__})"
        return fault(faults, path, text)


def fixed_reader(readers: Sequence[Reader]) -> Reader:
    """Return the reader of a tuple with a type for each element."""

    def read(node: Node, path: str, faults: list[str]) -> Any:
        before = len(faults)
        items = _items(node, path, faults)
        if len(items) != len(readers) and len(faults) == before:
            fault(faults, path, f"has {len(items)} elements, not {len(readers)}")
        if len(faults) > before:
            return None
        return tuple(_converted(items, readers, path, faults))

    return guarded(read)


def _converted(
    items: Iterable[Node], readers: Iterable[Reader], path: str, faults: list[str]
) -> list[Any]:
    """Return the elements of a list, each converted by its reader."""
    places = (f"{path}[{number}]" for number in count())
    return [
        _present(read(item, place, faults), place, faults)
        for item, read, place in zip(items, readers, places, strict=False)
    ]


def _items(node: Node, path: str, faults: list[str]) -> Sequence[Node]:
    """Return the elements of a list, a comma list or JSON text, or the single value."""
    value = node.read()
    if isinstance(value, str):
        parsed = _parsed(value, "[")
        if parsed is not None:
            return parsed.items()
        if value.count(",") >= MAX_PROPERTIES:
            fault(faults, path, f"has more than {MAX_PROPERTIES:,} elements")
            return []
        return [Node("", value=one.strip()) for one in value.split(",")] if value.strip() else []
    if value is not None:
        return [Node("", value=value)]
    items = node.items()
    beyond = [index for index in node.indexes() if index >= len(items)]
    if beyond:
        fault(faults, path, f"has an element [{min(beyond)}], but no element [{len(items)}]")
    elif node.children and not items:
        fault(faults, path, "is not a list")
    return items


def _parsed(text: str, opening: str) -> Node | None:
    """Return the content of JSON text; `None` if it is not JSON or has another start."""
    if not text.lstrip().startswith(opening) or sum(map(text.count, ",[{")) > MAX_PROPERTIES:
        return None
    try:
        return node_from_json("", json.loads(text))
    except (ValueError, RecursionError):
        return None


# --- sections -------------------------------------------------------------------------


def section_of(node: Node) -> Node | None:
    """Return the section below a name, or in its JSON text; `None` for other values.

    An empty text is an empty section.
    """
    if node.children:
        return node
    value = node.read()
    if value is None or value == "":
        return Node(node.name)
    return _parsed(value, "{") if isinstance(value, str) else None


def mapping_reader(make: Make, readers: tuple[Reader, Reader], kind: Kind) -> Reader:
    """Return the reader of a mapping; the rest of each name is a key."""
    read_key, read_value = readers

    def read(node: Node, path: str, faults: list[str]) -> Any:
        section = section_of(node)
        if section is None:
            return fault(faults, path, _NO_SECTION)
        before = len(faults)
        entries: list[tuple[Any, Any]] = []
        for parts, child in _entries(section, kind, ()):
            place = below(path, join(list(parts)))
            key = Node("", value=".".join(name for name, _ in parts))
            result = read_value(child, place, faults)
            if result is not ABSENT:
                entries.append((_present(read_key(key, place, faults), place, faults), result))
        found: Any = _made(dict, entries, path, faults) if len(faults) == before else None
        return make(found) if len(faults) == before else None

    return guarded(read)


def _entries(
    node: Node, kind: Kind, above: tuple[Element, ...]
) -> Iterator[tuple[tuple[Element, ...], Node]]:
    for child in node.children.values():
        parts = (*above, (child.name, child.in_brackets))
        whole = kind == "other" or child.value is not None
        if whole or (kind == "list" and "0" in child.children):
            yield parts, child
        if kind != "other" and not (kind == "list" and "0" in child.children):
            yield from _entries(child, kind, parts)


def model_reader(model: Model, readers: Sequence[Reader]) -> Reader:
    """Return the reader of a class with fields.

    Args:
        model: The class.
        readers: The readers of its fields; of a root model, that of its value.
    """

    def read(node: Node, path: str, faults: list[str]) -> Any:
        if not node.children and node.value == "":
            return ABSENT
        before = len(faults)
        if model.is_root:
            read_content = read_raw if model.fields[0].takes_raw else readers[0]
            content = read_content(node, path, faults)
        elif (section := _section_for(model, node, path, faults)) is None:
            return fault(faults, path, _NO_SECTION)
        else:
            content = _arguments(model, readers, section, path, faults)
        if len(faults) > before:
            return None
        try:
            return model.make(content)
        except MISMATCH as error:  # may show values
            for place, text in rejections(model, error):
                fault(faults, below(path, place) if place else path, text)
            return None

    return guarded(read)


def _section_for(model: Model, node: Node, path: str, faults: list[str]) -> Node | None:
    """Return what fills the fields of a class: a section, or the elements of a list."""
    section = section_of(node)
    if model.positional and (section is None or any(map(is_index, section.children))):
        items = _items(node, path, faults)
        if len(items) > len(model.fields):
            fault(faults, path, f"has {len(items)} elements, not {len(model.fields)}")
        names = (one.options[0].names[0] for one in model.fields)
        return Node("", children=dict(zip(names, items, strict=False)))
    return section


def _arguments(
    model: Model, readers: Sequence[Reader], section: Node, path: str, faults: list[str]
) -> Mapping[str, Any]:
    """Return the values of the fields of a class, converted."""
    before = len(faults)
    found: dict[str, Any] = {}
    seen: set[int] = set()
    missing: list[str] = [] if model.validates else faults
    for one, read in zip(model.fields, readers, strict=True):
        option, child = find_field(one, section) or (None, None)
        if option is None or child is None:
            if one.required:
                fault(missing, below(path, one.name), "is missing")
            continue
        seen.add(id(child))
        place = child_path(path, child)
        value = (read_raw if one.takes_raw or option.is_part else read)(child, place, faults)
        if value is not ABSENT:
            found[option.argument] = value
        elif one.required:
            fault(missing, place, "is empty")
    if model.validates and len(faults) > before:
        faults += missing  # otherwise pydantic reports them, unless a validator fills them
    others = section.children.values() if model.takes_others else ()
    return found | {one.name: plain(one) for one in others if id(one) not in seen}
