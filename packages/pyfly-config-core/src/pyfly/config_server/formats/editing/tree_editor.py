"""Editing a YAML or JSON text so that it has another tree, with as few changes as possible."""

from collections.abc import Sequence
from enum import IntEnum

from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.formats.editing.entries import (
    InsertionPoints,
    block_removals,
    entries_of,
    flow_removals,
    flow_separator,
)
from pyfly.config_server.formats.editing.fragments import Fragment, Fragments
from pyfly.config_server.formats.editing.list_pairs import pair_items
from pyfly.config_server.formats.editing.nodes import (
    AliasNode,
    Entry,
    MappingNode,
    Node,
    SequenceNode,
    nodes_below,
)
from pyfly.config_server.formats.editing.places import Place, block_replacement, joined
from pyfly.config_server.formats.editing.text_lines import CannotEditError, Lines, Replacement
from pyfly.config_server.formats.text import same_tree

__all__ = ["EditLevel", "TreeEditor"]


class EditLevel(IntEnum):
    """How much of a text was written anew. The caller is told about `MAPPING` and `WHOLE`."""

    ENTRIES = 0
    """Only the entries that have another value."""
    ALIASES = 1
    """Some aliases were replaced by their values as well, because their anchors are gone."""
    MAPPING = 2
    """A whole mapping, without its comments."""
    WHOLE = 3
    """The whole text, without its comments."""


class _NothingKeptError(CannotEditError):
    """Every entry of a mapping is new."""


class TreeEditor:
    """Collects the replacements for one text. For one use.

    Args:
        text: The text.
        lines: Its lines.
        fragments: Writes new values in the style of the text.
        anew: A mapping that is written anew.
    """

    def __init__(
        self, text: str, lines: Lines, fragments: Fragments, *, anew: Node | None = None
    ) -> None:
        self.replacements: list[Replacement] = []
        self.level = EditLevel.ENTRIES if anew is None else EditLevel.MAPPING
        self._text = text
        self._lines = lines
        self._fragments = fragments
        self._anew = anew
        self._values: dict[Node, JsonValue] = {}
        """The new values of nodes with anchors."""
        self._gone: set[Node] = set()
        """The removed nodes with anchors."""
        self._inserted = 0

    def edit_document(self, root: Node, wanted: JsonValue) -> None:
        """Give a document another value.

        Raises:
            CannotEditError: The whole text must be written anew.
            ConfigFormatError: The new text would be too long.
        """
        self._edit(root, wanted, Place(parent=-1, behind=None, is_flow=False))

    def _edit(self, node: Node, wanted: JsonValue, place: Place) -> None:
        if node.anchor is not None:
            self._values[node] = wanted
        if isinstance(node, AliasNode):
            is_gone = node.target in self._gone
            if is_gone or not same_tree(self._value(node), wanted):
                self._raise_level(EditLevel.ALIASES if is_gone else EditLevel.ENTRIES)
                self._replace(node, wanted, place)
        elif isinstance(node, MappingNode) and node.pairs and isinstance(wanted, dict) and wanted:
            self._edit_mapping(node, wanted, place)
        elif isinstance(node, SequenceNode) and node.items and isinstance(wanted, list) and wanted:
            self._edit_sequence(node, wanted)
        elif not same_tree(node.value, wanted):
            self._replace(node, wanted, place)

    def _value(self, node: Node) -> JsonValue:
        """Return the value that an alias, or a node with an anchor, has after the edit."""
        target = node.target if isinstance(node, AliasNode) else node
        return self._values.get(target, target.value)

    def _raise_level(self, level: EditLevel) -> None:
        self.level = max(self.level, level)

    # --- mappings ---------------------------------------------------------------------

    def _edit_mapping(self, node: MappingNode, wanted: dict[str, JsonValue], place: Place) -> None:
        if node is self._anew:
            self._replace(node, wanted, place)
            return
        done, level = len(self.replacements), self.level
        try:
            self._edit_pairs(node, wanted)
        except CannotEditError as error:
            del self.replacements[done:]
            everything = isinstance(error, _NothingKeptError)
            self.level = level if everything else max(level, EditLevel.MAPPING)
            self._replace(node, wanted, place)

    def _edit_pairs(self, node: MappingNode, wanted: dict[str, JsonValue]) -> None:
        entries = entries_of(self._text, node)
        kept = [pair.key in wanted for pair in node.pairs]
        inherited: dict[str, JsonValue] | None = {}
        for index, (pair, entry) in enumerate(zip(node.pairs, entries, strict=True)):
            if pair.key is None:
                inherited = self._with_merged(inherited, pair.node)
            elif kept[index]:
                self._edit(pair.node, wanted[pair.key], self._place(node, entry))
            else:
                self._forget(pair.key_node)
                self._forget(pair.node)
        if inherited is not None and inherited.keys() <= wanted.keys():
            kept = [kept[i] or pair.key is None for i, pair in enumerate(node.pairs)]
        else:
            inherited = {}
            self._raise_level(EditLevel.ALIASES)
        if not any(kept):
            raise _NothingKeptError
        self._remove(node, entries, kept)
        present = {pair.key for pair in node.pairs}
        added = [
            key
            for key, value in wanted.items()
            if key not in present and not (key in inherited and same_tree(inherited[key], value))
        ]
        if added:
            self._insert_pairs(node, (entries, kept), wanted, added)

    def _with_merged(
        self, inherited: dict[str, JsonValue] | None, node: Node
    ) -> dict[str, JsonValue] | None:
        """Return inherited keys with those of a `<<`; `None` if a merged mapping is gone."""
        self._check_merged(node)
        for source in _merged_nodes(node):
            value = self._value(source)
            target = source.target if isinstance(source, AliasNode) else source
            if inherited is None or target in self._gone or not isinstance(value, dict):
                return None
            inherited = {**value, **inherited}
        return inherited

    def _check_merged(self, node: Node) -> None:
        """Check that the mappings that are written behind a `<<` can stay as they are."""
        for source in _merged_nodes(node):
            if not isinstance(source, AliasNode):
                for below in nodes_below(source):
                    is_alias = isinstance(below, AliasNode)
                    if is_alias and not same_tree(self._value(below), below.value):
                        raise CannotEditError

    def _insert_pairs(
        self,
        node: MappingNode,
        old: tuple[Sequence[Entry], Sequence[bool]],
        wanted: dict[str, JsonValue],
        added: Sequence[str],
    ) -> None:
        entries, kept = old
        if node.is_flow and self._text[node.body] != "{":
            raise _NothingKeptError  # one pair in a list, without braces
        names = [pair.key if stays else None for pair, stays in zip(node.pairs, kept, strict=True)]
        last = max(index for index, stays in enumerate(kept) if stays)
        points = InsertionPoints(names, [*wanted], last=last)
        for key in added:
            self._insert_pair(node, entries, points.before(key), key, wanted[key])

    def _insert_pair(
        self, node: MappingNode, entries: Sequence[Entry], index: int, key: str, value: JsonValue
    ) -> None:
        at = entries[index].end
        if node.is_flow:
            written = self._fragments.flow(value, old=None, indent=self._indent(entries[index]))
            pair = self._fragments.key(key, in_flow=True) + written
            self._insert(at, f",{flow_separator(self._text, entries, index)}{pair}")
            return
        column = self._lines.column(entries[0].start)
        below = self._fragments.block(value, old=None, parent=column, column=-1)
        head = (self._fragments.key(key, in_flow=False) + below.head).rstrip(" ")
        self._insert_lines(at, (" " * column + head, *below.lines))

    # --- lists ------------------------------------------------------------------------

    def _edit_sequence(self, node: SequenceNode, wanted: list[JsonValue]) -> None:
        entries = entries_of(self._text, node)
        kept = [False] * len(entries)
        last: int | None = None
        for old, new in pair_items([item.value for item in node.items], wanted):
            if old is None and new is not None:
                self._insert_item(node, entries, last, wanted[new])
            elif old is not None and new is None:
                self._forget(node.items[old])
            elif old is not None and new is not None:
                kept[old], last = True, old
                self._edit(node.items[old], wanted[new], self._place(node, entries[old]))
        self._remove(node, entries, kept)

    def _insert_item(
        self, node: SequenceNode, entries: Sequence[Entry], last: int | None, value: JsonValue
    ) -> None:
        near = entries[last or 0]
        if node.is_flow:
            written = self._fragments.flow(value, old=None, indent=self._indent(near))
            separator = flow_separator(self._text, entries, last or 0)
            at = near.start if last is None else near.end
            self._insert(at, f"{written},{separator}" if last is None else f",{separator}{written}")
            return
        column = self._lines.column(near.start)
        below = self._fragments.item(value, old=None, parent=column)
        lines = (joined("-", below.head), *below.lines)
        if last is not None:
            self._insert_lines(near.end, (" " * column + lines[0], *lines[1:]))
        else:  # before the first item, which may follow the `-` of another list
            self._insert(near.start, self._lines.newline.join((*lines, " " * column)))

    # --- all nodes --------------------------------------------------------------------

    def _replace(self, node: Node, wanted: JsonValue, place: Place) -> None:
        """Write a node anew. Its anchor stays, anchors inside of it are gone."""
        for below in nodes_below(node):
            if below is not node:
                self._forget(below)
        anchor = "" if node.anchor is None else f"&{node.anchor}"
        if not place.is_flow:
            new = self._block_fragment(node, wanted, place)
            self.replacements.append(
                block_replacement(self._text, self._lines, (node, place), (anchor, new))
            )
            return
        indent = self._indent_at(node.start)
        written = joined(anchor, self._fragments.flow(wanted, old=node, indent=indent))
        if place.behind is None and not place.is_item:
            raise CannotEditError
        is_empty = node.start == node.end
        blank = " " if is_empty and self._text[node.start - 1] not in " [,{" else ""
        self.replacements.append(Replacement(node.start, node.end, blank + written))

    def _block_fragment(self, node: Node, wanted: JsonValue, place: Place) -> Fragment:
        column = -1
        if isinstance(node, MappingNode | SequenceNode) and not node.is_flow:
            same_kind = isinstance(node, MappingNode) == isinstance(wanted, dict)
            column = self._lines.column(node.body) if same_kind else -1
        if place.is_item and node.anchor is None:
            return self._fragments.item(wanted, old=node, parent=place.parent)
        if place.is_item:
            column = place.parent + 2  # on lines of its own, because of the anchor
        return self._fragments.block(wanted, old=node, parent=place.parent, column=column)

    def _forget(self, node: Node) -> None:
        self._gone.update(below for below in nodes_below(node) if below.anchor is not None)

    def _place(self, node: MappingNode | SequenceNode, entry: Entry) -> Place:
        return Place(
            parent=-1 if node.is_flow else self._lines.column(entry.start),
            behind=entry.behind,
            is_flow=node.is_flow,
            is_item=isinstance(node, SequenceNode),
            end=entry.end,
        )

    def _remove(
        self, node: MappingNode | SequenceNode, entries: Sequence[Entry], kept: Sequence[bool]
    ) -> None:
        if all(kept):
            return
        self.replacements += (
            flow_removals(entries, kept)
            if node.is_flow
            else block_removals(self._text, self._lines, entries, kept)
        )

    def _insert(self, position: int, text: str) -> None:
        self._inserted += len(text)
        if self._inserted > MAX_DOCUMENT_BYTES:  # a column may be as large as the text
            raise ConfigFormatError(f"a text of more than {MAX_DOCUMENT_BYTES:,} bytes")
        self.replacements.append(Replacement(position, position, text))

    def _insert_lines(self, end: int, lines: Sequence[str]) -> None:
        """Insert lines behind the line of a position."""
        newline = self._lines.newline
        self._insert(self._lines.after(end), "".join(f"{line}{newline}" for line in lines))

    def _indent(self, entry: Entry) -> str:
        return self._indent_at(entry.start)

    def _indent_at(self, position: int) -> str:
        line = self._text[self._lines.start(position) : position]
        return line[: len(line) - len(line.lstrip(" \t"))]


def _merged_nodes(node: Node) -> Sequence[Node]:
    """Return the mappings behind a `<<`."""
    return node.items if isinstance(node, SequenceNode) else (node,)
