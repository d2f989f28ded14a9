"""Tables for people: with rich on a terminal, in plain columns elsewhere."""

import sys
from collections.abc import Sequence
from typing import Final

from pyfly.config_cli._console.output import is_terminal, print_result

_MAX_RICH_ROWS: Final = 1_000
"""Longer tables are printed in plain columns, which is a hundred times faster."""


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows below their headings, without control characters.

    A terminal wraps long cells. Elsewhere each row is one line, whatever its length.
    """
    if is_terminal(sys.stdout) and len(rows) <= _MAX_RICH_ROWS:
        _print_rich_table(headings, rows)
    else:
        print_result(plain_table(headings, rows))


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows in columns below their headings, without control characters.

    >>> print(plain_table(("NAME", "SIZE"), [("orders", "1"), ("a", "20")]))
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


def _print_rich_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - its import takes longer than a small table
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    Console(highlight=False).print(table)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
