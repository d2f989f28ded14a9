"""What the command prints: results to standard output, remarks to standard error."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final, Self

from pyfly.config_core import JsonValue, finite

_COLUMNS: Final = 78


def say(text: str) -> None:
    """Print a result."""
    print(text)  # noqa: T201 - the command's output


def note(text: str) -> None:
    """Print a remark, out of the way of pipes."""
    print(text, file=sys.stderr)  # noqa: T201 - the command's output


def say_json(document: Mapping[str, JsonValue]) -> None:
    """Print a result for machines; what JSON lacks is given as Spring's texts."""
    say(json.dumps(finite(dict(document)), ensure_ascii=False, indent=2))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows in columns below their headings, without control characters.

    >>> print(table(("NAME", "SIZE"), [("orders", "1"), ("a", "20")]))
    NAME    SIZE
    orders  1
    a       20
    """
    cells = [[_printable(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


class Progress:
    """A line on a terminal that says how far a long task has come; silent elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def show(self, done: int, name: str) -> None:
        """Say that `done` of all are done and `name` comes next."""
        self._print(f"{done}/{self._total}  {name}")

    def __exit__(self, *_: object) -> None:
        self._print("")

    def _print(self, text: str) -> None:
        if self._shown:
            line = f"\r{text[:_COLUMNS]:{_COLUMNS}}\r"
            print(line, end="", file=sys.stderr, flush=True)  # noqa: T201 - the command's output
