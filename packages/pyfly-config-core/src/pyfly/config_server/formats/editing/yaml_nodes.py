"""The nodes of YAML documents. The text must be one that `yaml.load_documents` accepts."""

import re
from typing import Any, Final

from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)

from pyfly.config_core import JsonValue
from pyfly.config_server.formats.editing.nodes import (
    AliasNode,
    MappingNode,
    Node,
    Pair,
    ScalarNode,
    SequenceNode,
    skip_gap,
)
from pyfly.config_server.formats.editing.text_lines import Lines
from pyfly.config_server.formats.yaml import parse_events
from pyfly.config_server.formats.yaml_scalars import Merge, bracketed, resolve_plain, resolve_tagged

__all__ = ["document_roots", "with_closed_block"]

_PROPERTY: Final = re.compile("[&!][^ \t\r\n\x85\u2028\u2029,\\[\\]{}]*")
_BLANKS: Final = frozenset(" \t\r\n\x85\u2028\u2029")
_HEADER: Final = re.compile("[|>][-+0-9]*")


def document_roots(text: str, lines: Lines) -> list[Node]:
    """Return the root of every document, empty documents included.

    Marks of the parsers for Python and for C differ at the ends of blocks; the result does not.
    """
    builder = _Builder(text, lines)
    for event in parse_events(text):
        builder.take(event)
    return builder.roots


def with_closed_block(text: str) -> str | None:
    """Return a text that ends with a block, and no line break, with `-` in the block's header.

    The value of the block stays the same when a line break follows it. `None` for other texts.
    """
    last = document_roots(text, Lines(text))[-1]
    while isinstance(last, MappingNode | SequenceNode) and not last.is_flow:
        last = last.pairs[-1].node if isinstance(last, MappingNode) else last.items[-1]
    header = _HEADER.match(text, last.body)
    is_open = isinstance(last, ScalarNode) and last.style in {"|", ">"} and last.end == len(text)
    if not is_open or header is None or "-" in header[0]:
        return None
    new = header[0].replace("+", "") + "-"
    return text[: header.start()] + new + text[header.end() :]


class _Open:
    """A collection under construction."""

    __slots__ = ("event", "merges", "nodes")

    def __init__(self, event: CollectionStartEvent) -> None:
        self.event = event
        self.nodes: list[Node] = []
        self.merges: set[int] = set()
        """The indexes of the keys `<<`."""


class _Builder:
    """Builds the nodes of one text from its events. For one use."""

    def __init__(self, text: str, lines: Lines) -> None:
        self.roots: list[Node] = []
        self._text = text
        self._lines = lines
        self._open: list[_Open] = []
        self._anchors: dict[str | None, Node] = {}

    def take(self, event: Event) -> None:
        """Process the next event."""
        if isinstance(event, ScalarEvent):
            self._finish(self._scalar(event))
        elif isinstance(event, AliasEvent):
            start, end = _start(event), _end(event)
            target = self._anchors[event.anchor]
            self._finish(
                AliasNode(start=start, end=end, body=start, value=target.value, target=target)
            )
        elif isinstance(event, CollectionStartEvent):
            self._open.append(_Open(event))
            self._anchors.pop(event.anchor, None)  # one of this name inside comes after its own
        elif isinstance(event, CollectionEndEvent):
            self._finish(self._collection(self._open.pop(), event))
        elif isinstance(event, DocumentEndEvent):
            self._anchors.clear()

    def _finish(self, node: Node) -> None:
        if isinstance(node, ScalarNode):
            self._anchors[node.anchor] = node
        elif not isinstance(node, AliasNode):
            self._anchors.setdefault(node.anchor, node)
        (self._open[-1].nodes if self._open else self.roots).append(node)

    def _scalar(self, event: ScalarEvent) -> ScalarNode:
        start, end = _start(event), _end(event)
        style = event.style or ""
        value: Any = event.value
        if event.tag is not None and event.tag != "!":
            value = resolve_tagged(event.value, event.tag)
        elif not style:
            value = resolve_plain(event.value)
        if value is Merge.KEY:
            open_node = self._open[-1]
            open_node.merges.add(len(open_node.nodes))
            value = None
        body = self._behind_properties(event, start, end)
        if style in {"|", ">"}:
            end = self._block_end(body, end)
        else:
            while end > body and self._text[end - 1] in _BLANKS:
                end -= 1
        return ScalarNode(
            start=start, end=end, body=body, value=value, anchor=event.anchor, style=style
        )

    def _block_end(self, body: int, end: int) -> int:
        """Return the end of the last line of a block, which has blank lines if it keeps them."""
        text, lines = self._text, self._lines
        last = end
        while text[last - 1] in _BLANKS:
            last -= 1
        last = lines.end(max(last - 1, body))
        header = _HEADER.match(text, body)
        if header is None or "+" not in header[0]:
            return last
        while True:  # a blank line that has a line break
            following = lines.after(last)
            blank = lines.end(following)
            if following == last or blank == len(text) or text[following:blank].strip(" \t"):
                return last
            last = blank

    def _collection(self, done: _Open, event: Event) -> Node:
        start = _start(done.event)
        is_flow = bool(done.event.flow_style)
        end = _end(event) if is_flow or not done.nodes else done.nodes[-1].end
        body = self._behind_properties(done.event, start, end)
        anchor = done.event.anchor
        if not isinstance(done.event, MappingStartEvent):
            return SequenceNode(
                start=start,
                end=end,
                body=body,
                value=[node.value for node in done.nodes],
                anchor=anchor,
                items=tuple(done.nodes),
                is_flow=is_flow,
            )
        pairs = tuple(
            Pair(key=key, key_node=done.nodes[index], node=done.nodes[index + 1])
            for index, key in self._keys(done)
        )
        if is_flow and self._text[body : body + 1] != "{" and pairs:
            end = pairs[-1].node.end  # one pair in a list, without braces
        return MappingNode(
            start=start,
            end=end,
            body=body,
            value=_merged(pairs),
            anchor=anchor,
            pairs=pairs,
            is_flow=is_flow,
        )

    def _keys(self, done: _Open) -> list[tuple[int, str | None]]:
        keys: list[tuple[int, str | None]] = []
        for index in range(0, len(done.nodes), 2):
            value: Any = done.nodes[index].value
            key = bracketed(value) if isinstance(value, bool | int | float) else value
            keys.append((index, None if index in done.merges else key))
        return keys

    def _behind_properties(self, event: NodeEvent, start: int, end: int) -> int:
        """Return the position behind the anchor and the tag."""
        tag = getattr(event, "tag", None)
        if event.anchor is None and tag is None:
            return start
        position = start
        while (found := _PROPERTY.match(self._text, position)) is not None and position < end:
            position = min(skip_gap(self._text, found.end()), max(end, found.end()))
            if isinstance(event, ScalarEvent) and event.value == "" and not event.style:
                position = min(position, end)
        return position


def _merged(pairs: tuple[Pair, ...]) -> dict[str, JsonValue]:
    """Return the mapping of all pairs. Explicit keys win, then the first merged mapping."""
    value: dict[str, JsonValue] = {}
    for pair in pairs:
        if pair.key is not None:
            value[pair.key] = pair.node.value
    for pair in pairs:
        if pair.key is None:
            merged = pair.node.value
            for one in merged if isinstance(merged, list) else [merged]:
                if isinstance(one, dict):
                    value = {**one, **value}
    return value


def _start(event: Any) -> int:
    index: int = event.start_mark.index
    return index


def _end(event: Any) -> int:
    index: int = event.end_mark.index
    return index
