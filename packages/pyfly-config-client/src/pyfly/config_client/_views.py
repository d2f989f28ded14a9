"""The two views of merged properties: an immutable mapping with metadata, and a tree of nodes.

The tree serves conversions and `Properties.tree`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal, TypeAlias, cast

from pyfly.config_client._environ import key_for_variable
from pyfly.config_client._merging import MAX_ELEMENTS, MergedProperties, UnresolvedValue
from pyfly.config_core import Environment, FlatValue, JsonValue, PropertySource
from pyfly.config_core.limits import MAX_DEPTH
from pyfly.config_core.property_names import canonical, elements, is_index, join, quoted

LoadedFrom = Literal["server", "snapshot", "baseline"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ConfigMetadata:
    """The names, the version, the origin and the age of a whole configuration."""

    name: str = ""
    profiles: tuple[str, ...] = ()
    label: str | None = None
    version: str | None = None
    loaded_from: LoadedFrom = "server"
    place: str = ""
    """The address or the file, without credentials."""
    age_when_loaded: float = 0.0
    """Its age in seconds when it was loaded."""
    stale_when_loaded: float | None = None
    """For how many seconds the server could not read its store then; `None` if it could."""
    loaded_at: float = field(default_factory=time.monotonic)
    """By the monotonic clock, which corrections of the time of day do not change."""

    def later(self, seconds: float) -> float:
        """Return what a number of seconds has grown to since it was loaded."""
        return seconds + time.monotonic() - self.loaded_at

    def of(self, environment: "Environment | ConfigMetadata") -> "ConfigMetadata":
        """Return a copy with the names and the version of a document."""
        return replace(
            self,
            name=environment.name,
            profiles=environment.profiles,
            label=environment.label,
            version=environment.version,
        )


class PropertyMapping(Mapping[str, FlatValue]):  # noqa: PLW1641 - as other mappings
    """Flat keys to values. Lookups accept every spelling of a key.

    Iteration uses the spelling of the source with the highest precedence; equality and length
    count names, so that a mapping is equal to the plain dict of its content.

    Args:
        sources: The sources, the highest precedence first.
        merged: What they give together.
        metadata: The names, the version, the origin and the age of the whole configuration.
        prefix: The prefix of a section, which its keys do not have.
    """

    __slots__ = ("_merged", "_metadata", "_prefix", "_sources")

    def __init__(
        self,
        sources: Sequence[PropertySource],
        merged: MergedProperties,
        metadata: ConfigMetadata,
        *,
        prefix: str = "",
    ) -> None:
        self._sources = tuple(sources)
        self._merged = merged
        self._metadata = metadata
        self._prefix = prefix

    @property
    def name(self) -> str:
        """The application as requested."""
        return self._metadata.name

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles as the server names them."""
        return self._metadata.profiles

    @property
    def label(self) -> str | None:
        """The label as requested."""
        return self._metadata.label

    @property
    def version(self) -> str | None:
        """The revision of the store, if the server sends it."""
        return self._metadata.version

    @property
    def loaded_from(self) -> LoadedFrom:
        """Where the properties were loaded from."""
        return self._metadata.loaded_from

    @property
    def place(self) -> str:
        """The address of the server or the file, without credentials."""
        return self._metadata.place

    @property
    def from_snapshot(self) -> bool:
        """True if they are from a snapshot or the baseline, not from the server."""
        return self._metadata.loaded_from != "server"

    @property
    def age(self) -> timedelta:
        """The time since the server sent them; zero for a baseline when it is loaded."""
        return timedelta(seconds=self._metadata.later(self._metadata.age_when_loaded))

    @property
    def stale_for(self) -> float | None:
        """For how many seconds the server cannot read its store; `None` if it can.

        A stale configuration is the last good one that the server has.
        """
        stale = self._metadata.stale_when_loaded
        return None if stale is None else self._metadata.later(stale)

    def __getitem__(self, key: str) -> FlatValue:
        merged = self._merged
        if key not in merged.values:
            found = self._spelling(key)
            if found is None:
                raise KeyError(key)
            key = found
        return merged.read(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._spelling(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._merged.values)

    def __len__(self) -> int:
        return len(self._merged.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        rows = cast("Mapping[object, object]", other)  # isinstance cannot tell the parameters
        if len(rows) != len(self):
            return False
        return all(isinstance(key, str) and key in self for key in rows) and all(
            self[cast("str", key)] == value for key, value in rows.items()
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} properties)"

    def entries(self) -> dict[str, tuple[str, FlatValue | UnresolvedValue]]:
        """Return all spellings and values by canonical names; never raises."""
        merged = self._merged
        return {name: (key, merged.peek(key)) for name, key in merged.spellings.items()}

    def _spelling(self, key: str) -> str | None:
        """Return the stored spelling of a key; `None` if there is no such property."""
        found = self._merged.spellings.get(canonical(key))
        if found is None and key.isupper() and "." not in key:
            return key_for_variable(key, self._merged.spellings)
        return found

    def _get_plain(self, key: str, default: object) -> object:
        found = self._spelling(key)
        return default if found is None else self[found]


# --- the tree -------------------------------------------------------------------------

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
