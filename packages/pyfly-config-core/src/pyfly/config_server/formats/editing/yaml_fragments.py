"""Writing single values into an existing YAML text."""

import re
from collections.abc import Iterable
from typing import Final

from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.formats.editing.fragments import Fragment
from pyfly.config_server.formats.editing.nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    nodes_below,
)
from pyfly.config_server.formats.editing.text_lines import CannotEditError, Lines
from pyfly.config_server.formats.yaml_scalars import Scalar, float_text, resolve_plain

__all__ = ["YamlFragments"]

_STEP: Final = 2
_LONGEST_KEY: Final = 1000
"""YAML allows 1,024 characters from the beginning of a key on one line to its `:`."""
_CLEAR: Final = " -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff"
"""Characters that stand for themselves in a text, as a part of a pattern."""
_UNCLEAR: Final = re.compile(f"[^{_CLEAR}]")
_PLAIN: Final = re.compile(
    rf"(?:[A-Za-z0-9_/$(^+~\xa0-\u2027\u202a-\ud7ff]|[-.][A-Za-z0-9/_])[{_CLEAR}]*(?<! )"
)
_NOT_PLAIN: Final = re.compile(r":(?: |$)| #")
_NOT_PLAIN_IN_FLOW: Final = re.compile(r"[,\[\]{}:?]| #")
_NOT_IN_BLOCK: Final = re.compile(f"[^{_CLEAR}\n\t]")
_BLANK_LINE: Final = re.compile(r"^[ \t]+$", re.MULTILINE)
_HEADER: Final = re.compile(r"[|>][-+0-9]*")
_MOST_BLANKS: Final = 8 * MAX_DOCUMENT_BYTES
"""Blanks at the beginnings of lines, for all attempts to edit a text."""
_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_TO_ESCAPE: Final = re.compile(rf'["\\]|[^{_CLEAR}]')


class YamlFragments:
    """Writes values in the style of a text: its quotes, blocks and indentation.

    Args:
        text: The text.
        lines: Its lines.
        roots: The roots of its documents.
    """

    def __init__(self, text: str, lines: Lines, roots: Iterable[Node]) -> None:
        self._text = text
        self._lines = lines
        self._roots = tuple(roots)
        self._steps: tuple[int, int] | None = None
        self._blanks = 0

    def key(self, key: str, *, in_flow: bool) -> str:
        """Return a key with its `:` and a blank.

        Raises:
            CannotEditError: The key is too long for one line.
        """
        text = _one_line(key, "", in_flow=in_flow)
        if len(text) > _LONGEST_KEY:
            raise CannotEditError
        return text + ": "

    def flow(self, value: JsonValue, *, old: Node | None, indent: str) -> str:
        """Return a value on one line."""
        if isinstance(value, dict):
            pairs = (
                self.key(key, in_flow=True) + self.flow(one, old=None, indent=indent)
                for key, one in value.items()
            )
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, list):
            return f"[{', '.join(self.flow(one, old=None, indent=indent) for one in value)}]"
        return _scalar(value, _style(old), in_flow=True)

    def block(self, value: JsonValue, *, old: Node | None, parent: int, column: int) -> Fragment:
        """Return a value behind a `:`, or a whole document; blocks are indented.

        Raises:
            ConfigFormatError: The lines are indented so far that the text would be too long.
        """
        if isinstance(value, dict) and value:
            at = column if column >= 0 else self._below(parent, 0)
            return Fragment(lines=tuple(self._mapping(value, at)))
        if isinstance(value, list) and value:
            at = column if column >= 0 else self._below(parent, 1)
            return Fragment(lines=tuple(self._sequence(value, at)))
        if isinstance(value, dict | list):
            return Fragment(head="[]" if value == [] else "{}")
        return self._single(value, old, parent)

    def item(self, value: JsonValue, *, old: Node | None, parent: int) -> Fragment:
        """Return a value behind a `-`. A block begins on the same line."""
        if not (isinstance(value, dict | list) and value):
            return self.block(value, old=old, parent=parent, column=-1)
        at = parent + _STEP
        lines = self._mapping(value, at) if isinstance(value, dict) else self._sequence(value, at)
        return Fragment(head=lines[0].lstrip(" "), lines=tuple(lines[1:]))

    def _below(self, parent: int, kind: int) -> int:
        """Return the column of a mapping (0) or list (1) in a mapping, as the text has it."""
        if parent < 0:
            return 0
        if self._steps is None:
            self._steps = self._found_steps()
        return parent + self._steps[kind]

    def _found_steps(self) -> tuple[int, int]:
        found: list[int | None] = [None, None]
        for root in self._roots:
            for node in nodes_below(root):
                if isinstance(node, MappingNode) and not node.is_flow:
                    self._measure(node, found)
                if None not in found:
                    break
        step, of_lists = found
        return step or _STEP, _STEP if of_lists is None else of_lists

    def _measure(self, node: MappingNode, found: list[int | None]) -> None:
        column = self._lines.column(node.body)
        for pair in node.pairs:
            below = pair.node
            if isinstance(below, MappingNode | SequenceNode) and not below.is_flow:
                kind = int(isinstance(below, SequenceNode))
                distance = self._lines.column(below.body) - column
                if found[kind] is None and distance >= 1 - kind:
                    found[kind] = distance

    def _mapping(self, value: dict[str, JsonValue], column: int) -> list[str]:
        lines: list[str] = []
        for key, one in value.items():
            below = self.block(one, old=None, parent=column, column=-1)
            head = (self.key(key, in_flow=False) + below.head).rstrip(" ")
            lines += self._indent(column) + head, *below.lines
        return lines

    def _sequence(self, value: list[JsonValue], column: int) -> list[str]:
        lines: list[str] = []
        for one in value:
            below = self.item(one, old=None, parent=column)
            lines += f"{self._indent(column)}- {below.head}", *below.lines
        return lines

    def _indent(self, column: int) -> str:
        self._blanks += column
        if self._blanks > _MOST_BLANKS:
            raise ConfigFormatError(f"a text of more than {MAX_DOCUMENT_BYTES:,} bytes")
        return " " * column

    def _single(self, value: Scalar, old: Node | None, parent: int) -> Fragment:
        style = _style(old)
        content = value.rstrip("\n") if isinstance(value, str) else ""
        ends = len(value) - len(content) if isinstance(value, str) else 0
        # elsewhere, blank lines that follow would become a part of a block that keeps its end
        is_block = style in {"|", ">"} or (not style and "\n" in str(value) and ends <= 1)
        if not (isinstance(value, str) and is_block and _fits_block(value)):
            return Fragment(head=_scalar(value, "" if style in {"|", ">"} else style))
        before = self._block_lines(old) if isinstance(old, ScalarNode) and style else []
        indent = self._indent_of(before) or self._below(max(parent, 0), 0)
        header = ">" if style == ">" and "\n" not in content else "|"
        header += "-" if not ends else "" if ends == 1 else "+"
        new = [self._indent(indent) + line if line else "" for line in content.split("\n")]
        new += [""] * (ends - 1)
        return Fragment(
            head=header, lines=tuple(_with_old_blanks(new, before) if style == "|" else new)
        )

    def _block_lines(self, old: ScalarNode) -> list[str]:
        """Return the lines of a block, if its header names no indentation."""
        header = _HEADER.match(self._text, old.body)
        if header is None or any(one.isdigit() for one in header[0]):
            return []
        start = self._lines.after(old.body)
        lines: list[str] = []
        while start < old.end:
            lines.append(self._text[start : self._lines.end(start)])
            start = self._lines.after(start)
        return lines

    def _indent_of(self, lines: list[str]) -> int:
        first = next((line for line in lines if line.strip(" ")), "")
        return len(first) - len(first.lstrip(" "))


def _with_old_blanks(new: list[str], old: list[str]) -> list[str]:
    """Return the new lines; blank lines at the same place as old ones keep their blanks."""
    count = 0
    result = [*new]
    while count < min(len(new), len(old)) and _same_line(new[count], old[count]):
        result[count] = old[count]
        count += 1
    back = 1
    while back <= min(len(new), len(old)) - count and _same_line(new[-back], old[-back]):
        result[-back] = old[-back]
        back += 1
    return result


def _same_line(new: str, old: str) -> bool:
    return new == old or (not new and not old.strip(" "))


def _style(old: Node | None) -> str:
    return old.style if isinstance(old, ScalarNode) else ""


def _fits_block(value: str) -> bool:
    """True if a text can be a literal block whose indentation is that of its first line."""
    first = value.lstrip("\n")[:1]
    return (
        first not in {"", " ", "\t"}
        and not value.startswith("\n")
        and not _NOT_IN_BLOCK.search(value)
        and not _BLANK_LINE.search(value)
    )


def _scalar(value: Scalar, style: str, *, in_flow: bool = False) -> str:
    if isinstance(value, str):
        return _one_line(value, style, in_flow=in_flow)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return float_text(value) if isinstance(value, float) else str(value)


def _one_line(text: str, style: str, *, in_flow: bool) -> str:
    """Return a text on one line: plain if it was and can be, else in quotes."""
    if style not in {"'", '"'} and _is_plain(text, in_flow=in_flow):
        return text
    if style != '"' and not _UNCLEAR.search(text):
        return "'" + text.replace("'", "''") + "'"
    return '"' + _TO_ESCAPE.sub(_escaped, text) + '"'


def _is_plain(text: str, *, in_flow: bool) -> bool:
    if not _PLAIN.fullmatch(text) or text.startswith("---"):
        return False
    if (_NOT_PLAIN_IN_FLOW if in_flow else _NOT_PLAIN).search(text):
        return False
    try:
        return resolve_plain(text) == text
    except ConfigFormatError:
        return False


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if code > 0xFFFF:  # noqa: PLR2004 - the widths of the escapes
        return f"\\U{code:08X}"
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}"  # noqa: PLR2004
