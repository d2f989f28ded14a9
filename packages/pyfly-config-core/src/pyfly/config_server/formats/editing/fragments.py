"""The interface for writing single values into an existing text."""

from dataclasses import dataclass, field
from typing import Protocol

from pyfly.config_core import JsonValue
from pyfly.config_server.formats.editing.nodes import Node

__all__ = ["Fragment", "Fragments"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A value as text: behind a `:` or `-`, and the lines that follow."""

    head: str = field(default="", repr=False)
    lines: tuple[str, ...] = field(default=(), repr=False)
    """Complete lines with their indentation, without line breaks."""


class Fragments(Protocol):
    """Writes single values in the style of a text."""

    def key(self, key: str, *, in_flow: bool) -> str:
        """Return a key with its `:` and the blank behind it.

        Raises:
            CannotEditError: The key cannot be written on one line.
        """
        ...

    def flow(self, value: JsonValue, *, old: Node | None, indent: str) -> str:
        """Return a value for a place between brackets.

        Args:
            value: The value.
            old: The node that it replaces.
            indent: The blanks at the beginning of the line.
        """
        ...

    def block(self, value: JsonValue, *, old: Node | None, parent: int, column: int) -> Fragment:
        """Return a value for a place in a block.

        Args:
            value: The value.
            old: The node that it replaces.
            parent: The column of the mapping or list around it; -1 for a document.
            column: The column of the old block; -1 if there was no block of the same kind.
        """
        ...

    def item(self, value: JsonValue, *, old: Node | None, parent: int) -> Fragment:
        """Return a value for a place behind the `-` at the column `parent`."""
        ...
