"""Adding and removing the entries of mappings and lists in a text. Pure functions."""

from collections.abc import Sequence
from typing import Final

from pyfly.config_server.formats.editing.nodes import Entry, MappingNode, SequenceNode, skip_gap
from pyfly.config_server.formats.editing.text_lines import Lines, Replacement

__all__ = [
    "InsertionPoints",
    "block_removals",
    "entries_of",
    "flow_removals",
    "flow_separator",
]

_LINE_BREAKS: Final = frozenset("\r\n")
_MOST_PARTS: Final = 16
"""Parts of a key that are compared with those of other keys."""


def entries_of(text: str, node: MappingNode | SequenceNode) -> list[Entry]:
    """Return the places of the entries, in their order."""
    has_brackets = node.is_flow and text[node.body] in "{["
    position = node.body + 1 if has_brackets else node.body
    entries: list[Entry] = []
    nodes = (
        [(pair.key_node, pair.node) for pair in node.pairs]
        if isinstance(node, MappingNode)
        else [(item, item) for item in node.items]
    )
    for first, last in nodes:
        start = min(skip_gap(text, position), first.start)
        if isinstance(node, MappingNode):
            colon = skip_gap(text, max(first.end, start + 1 if first.end == start else 0))
            behind = colon + 1 if text[colon : colon + 1] == ":" else None
            end = max(last.end, first.end) if behind is None else max(last.end, behind)
        else:
            behind = None if node.is_flow else start + 1
            end = max(last.end, start if behind is None else behind)
        entries.append(Entry(start=start, end=end, behind=behind))
        position = end
        if node.is_flow:
            comma = skip_gap(text, end)
            position = comma + 1 if text[comma : comma + 1] == "," else end
    return entries


def block_removals(
    text: str, lines: Lines, entries: Sequence[Entry], kept: Sequence[bool]
) -> list[Replacement]:
    """Return the removals of lines, for a block of which at least one entry is kept.

    Comments between entries stay. The first entry may follow a `-`, `?` or `:` on its line; the
    first entry that is kept then takes its place.
    """
    removals: list[Replacement] = []
    first = entries[0].start
    leading = kept.index(True)
    is_inline = bool(text[lines.start(first) : first].strip(" \t"))
    if leading and is_inline:
        removals.append(_inline_removal(text, lines, entries, leading))
    for index, entry in enumerate(entries):
        if not kept[index] and not (is_inline and index < leading):
            removals.append(Replacement(lines.start(entry.start), lines.after(entry.end), ""))
    return removals


def _inline_removal(text: str, lines: Lines, entries: Sequence[Entry], count: int) -> Replacement:
    first, last, following = entries[0].start, entries[count - 1].end, entries[count].start
    if not text[lines.after(last) : following].strip(" "):
        return Replacement(first, following, "")
    while text[first - 1] in " \t":  # a comment comes first
        first -= 1
    return Replacement(first, lines.end(last), "")


def flow_removals(entries: Sequence[Entry], kept: Sequence[bool]) -> list[Replacement]:
    """Return the removals with their commas, for brackets of which at least one entry is kept."""
    removals: list[Replacement] = []
    leading = kept.index(True)
    if leading:
        removals.append(Replacement(entries[0].start, entries[leading].start, ""))
    last_kept = leading
    for index in range(leading + 1, len(entries)):
        if kept[index]:
            if index > last_kept + 1:
                gone = Replacement(entries[last_kept].end, entries[index - 1].end, "")
                removals.append(gone)
            last_kept = index
    if last_kept < len(entries) - 1:
        removals.append(Replacement(entries[last_kept].end, entries[-1].end, ""))
    return removals


def flow_separator(text: str, entries: Sequence[Entry], index: int) -> str:
    """Return the blanks between a comma and an entry, as the text has them."""
    at = entries[index or min(1, len(entries) - 1)].start
    start = at
    while text[start - 1] in " \t\r\n":
        start -= 1
    before = text[start - 1]
    if before == ",":
        return text[start:at]
    has_lines = not _LINE_BREAKS.isdisjoint(text[start:at])
    return text[start:at] if before in "{[" and has_lines else " "


class InsertionPoints:
    """Finds the pairs after which new keys are written.

    Args:
        names: The keys of the pairs; `None` for a pair that does not count.
        order: All keys, as they are wanted.
        last: The pair for a key that belongs nowhere else.
    """

    def __init__(self, names: Sequence[str | None], order: Sequence[str], *, last: int) -> None:
        places = {name: index for index, name in enumerate(names) if name is not None}
        self._siblings = {
            prefix: index for name, index in places.items() for prefix in _prefixes(name)
        }
        self._before: dict[str, int] = {}
        found: int | None = None
        for key in order:
            if key in places:
                found = places[key]
            self._before[key] = last if found is None else found

    def before(self, key: str) -> int:
        """Return the index of the pair before a new key.

        That is the last one with the longest common beginning, in parts between dots, or else the
        one before it in the wanted order.
        """
        for prefix in _prefixes(key):
            if prefix in self._siblings:
                return self._siblings[prefix]
        return self._before[key]


def _prefixes(key: str) -> list[str]:
    """Return the beginnings of a dotted key, the longest first: `a.b.`, `a.`."""
    parts = key.split(".")[:-1][:_MOST_PARTS]
    return [".".join(parts[: count + 1]) + "." for count in reversed(range(len(parts)))]
