"""The lines of a text, and replacing parts of a text."""

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["CannotEditError", "Lines", "Replacement", "replaced"]

_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class CannotEditError(Exception):
    """A text cannot be changed in this way; a larger part of it must be written anew."""


class Replacement(NamedTuple):
    """The part of a text between two positions, and its new text."""

    start: int
    end: int
    text: str


class Lines:
    """The lines of a text with any line breaks of YAML. Positions are indexes into the text."""

    def __init__(self, text: str) -> None:
        self._starts, self._ends = array("L", [0]), array("L")
        for found in _BREAK.finditer(text):
            self._ends.append(found.start())
            self._starts.append(found.end())
        self._ends.append(len(text))
        self.newline: Final = (
            text[self._ends[0] : self._starts[1]] if len(self._starts) > 1 else "\n"
        )
        """The first line break."""

    def start(self, position: int) -> int:
        """Return the beginning of the line of a position."""
        return self._starts[bisect_right(self._starts, position) - 1]

    def end(self, position: int) -> int:
        """Return the end of the line of a position, before its line break."""
        return self._ends[bisect_right(self._starts, position) - 1]

    def after(self, position: int) -> int:
        """Return the beginning of the next line, or the end of the text."""
        line = bisect_right(self._starts, position)
        return self._starts[line] if line < len(self._starts) else self._ends[-1]

    def column(self, position: int) -> int:
        """Return how many characters stand before a position in its line."""
        return position - self.start(position)


def replaced(text: str, replacements: Iterable[Replacement]) -> str:
    """Return the text with all replacements. Insertions at one position keep their order.

    Raises:
        CannotEditError: Two replacements overlap.
    """
    pieces: list[str] = []
    done = 0
    for start, end, new in sorted(replacements, key=lambda one: (one.start, one.end)):
        if start < done:
            raise CannotEditError
        pieces += text[done:start], new
        done = end
    return "".join((*pieces, text[done:]))
