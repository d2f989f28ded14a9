"""The nodes of a JSON text. The text must be one that `parse_json` accepts."""

import json
import re
from typing import Final

from pyfly.config_core import JsonValue
from pyfly.config_server.formats.editing.nodes import (
    MappingNode,
    Node,
    Pair,
    ScalarNode,
    SequenceNode,
)

__all__ = ["json_root"]

_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_TOKEN: Final = re.compile(r'"(?:[^"\\]+|\\.)*+"|[^ \t\r\n,\]}"]+')
"""Possessive, because it would otherwise remember each step, at 100 bytes a step."""


def json_root(text: str) -> Node:
    """Return the root of a text that is not blank."""
    return _Scanner(text).value(0)


class _Scanner:
    """Reads the nodes of one text. The depth of recursion is bounded, as `parse_json` checks."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, position: int) -> Node:
        """Return the value behind a position."""
        start = self._skip(position)
        opening = self._text[start]
        if opening == "{":
            return self._mapping(start)
        return self._sequence(start) if opening == "[" else self._scalar(start)

    def _scalar(self, start: int) -> ScalarNode:
        found = _TOKEN.match(self._text, start)
        token = "" if found is None else found[0]
        value: JsonValue = json.loads(token)
        style = '"' if isinstance(value, str) else ""
        return ScalarNode(start=start, end=start + len(token), body=start, value=value, style=style)

    def _sequence(self, start: int) -> SequenceNode:
        items: list[Node] = []
        position = self._skip(start + 1)
        while self._text[position] != "]":
            item = self.value(position)
            items.append(item)
            position = self._behind_comma(item.end)
        return SequenceNode(
            start=start,
            end=position + 1,
            body=start,
            value=[item.value for item in items],
            items=tuple(items),
            is_flow=True,
        )

    def _mapping(self, start: int) -> MappingNode:
        pairs: list[Pair] = []
        position = self._skip(start + 1)
        while self._text[position] != "}":
            key = self._scalar(position)
            node = self.value(self._skip(key.end) + 1)
            pairs.append(Pair(key=str(key.value), key_node=key, node=node))
            position = self._behind_comma(node.end)
        return MappingNode(
            start=start,
            end=position + 1,
            body=start,
            value={str(pair.key): pair.node.value for pair in pairs},
            pairs=tuple(pairs),
            is_flow=True,
        )

    def _behind_comma(self, position: int) -> int:
        position = self._skip(position)
        return self._skip(position + 1) if self._text[position] == "," else position

    def _skip(self, position: int) -> int:
        found = _BLANKS.match(self._text, position)
        return position if found is None else found.end()
