"""The places of values in a text, and writing a value anew in its place. Pure functions."""

import re
from dataclasses import dataclass
from typing import Final

from pyfly.config_server.formats.editing.fragments import Fragment
from pyfly.config_server.formats.editing.nodes import MappingNode, Node, ScalarNode, SequenceNode
from pyfly.config_server.formats.editing.text_lines import CannotEditError, Lines, Replacement

__all__ = ["Place", "block_replacement", "joined"]

_COMMENT: Final = re.compile(r"(?:^|[ \t])(#.*)", re.DOTALL)
_HEADER: Final = re.compile(r"[|>][-+0-9]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of a value."""

    parent: int
    """The column of the entry around it; -1 for a document."""
    behind: int | None
    """The position behind the `:` or `-`, if there is one."""
    is_flow: bool
    """True between brackets."""
    is_item: bool = False
    """True in a list."""
    end: int | None = None
    """The end of the entry around it; `None` for a document."""


def joined(*parts: str) -> str:
    """Return the parts that are not empty, with blanks between them."""
    return " ".join(part for part in parts if part)


def block_replacement(
    text: str, lines: Lines, old: tuple[Node, Place], written: tuple[str, Fragment]
) -> Replacement:
    """Return the replacement of a value in a block. A comment behind the old value stays.

    Args:
        text: The text.
        lines: Its lines.
        old: The old value and its place.
        written: The anchor with its `&`, if there is one, and the new value.

    Raises:
        CannotEditError: The value has no `:` before it.
    """
    (node, place), (anchor, new) = old, written
    if place.end is None:
        return _document(text, lines, node, new)
    if place.behind is None:
        raise CannotEditError
    is_block = isinstance(node, ScalarNode) and node.style in {"|", ">"}
    if is_block and new.lines and (header := _HEADER.match(text, node.body)):
        first_line = new.head + text[header.end() : lines.end(node.body)]
        return Replacement(node.body, node.end, lines.newline.join((first_line, *new.lines)))
    head = joined(anchor, new.head)
    is_collection = isinstance(node, MappingNode | SequenceNode) and not node.is_flow
    if not (new.lines or is_block or is_collection) and node.end <= lines.end(node.start):
        blank = " " if node.start == place.behind else ""
        return Replacement(node.start, node.end, blank + head)
    parts = [one for one in (head, _comment(text, lines, node, place.behind)) if one]
    first_line = "".join(f" {one}" for one in parts)
    return Replacement(
        place.behind, lines.end(node.end), lines.newline.join((first_line, *new.lines))
    )


def _document(text: str, lines: Lines, node: Node, new: Fragment) -> Replacement:
    before = text[lines.start(node.start) : node.start]
    written = lines.newline.join(new.lines or (new.head,))
    if before.strip():  # such as `---`
        written = (lines.newline if new.lines else " ") + written
    return Replacement(node.start, node.end, written)


def _comment(text: str, lines: Lines, node: Node, behind: int) -> str:
    """Return the comment on the first or last line of a value."""
    end, tail = lines.end(behind), text[node.end : lines.end(node.end)]
    first = ""
    header = _HEADER.match(text, node.body)
    if isinstance(node, ScalarNode) and node.style in {"|", ">"} and header is not None:
        first = text[header.end() : lines.end(node.body)]
    elif node.body > end:
        first = text[behind:end]
    found = _COMMENT.search(first) or _COMMENT.search(tail)
    return "" if found is None else found[1].rstrip()
