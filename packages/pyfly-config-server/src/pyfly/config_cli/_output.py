"""What the command prints: results to standard output, remarks to standard error.

Either may be closed, a pipe whose reader went away, or a terminal that lacks characters.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, Self

from pyfly.config_cli._known import SettingsError
from pyfly.config_core import JsonValue, finite

_COLUMNS: Final = 78


def prepare_output() -> None:
    """Let results be printed in any encoding: what it lacks is escaped with backslashes."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if callable(reconfigure):
        reconfigure(errors="backslashreplace")


def finish_output() -> None:
    """Write out what is buffered.

    Raises:
        OSError: Standard output cannot be written; `BrokenPipeError` when its reader is gone.
    """
    if sys.stdout is not None:  # it was closed before the start
        sys.stdout.flush()


def drop_output() -> None:
    """Throw away what cannot be written, so that the end of the process does not try again."""
    try:
        finish_output()
    except OSError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)


def say(text: str) -> None:
    """Print a result."""
    print(text)  # noqa: T201 - the command's output


def say_exactly(text: str) -> None:
    """Print a result that must not be changed.

    Raises:
        SettingsError: The encoding of standard output lacks a character of it.
    """
    if not _has_characters(text):
        raise SettingsError(
            f"standard output is {_encoding()}, which lacks characters of the result; "
            "set PYTHONIOENCODING=utf-8"
        )
    say(text)


def note(text: str) -> None:
    """Print a remark, out of the way of pipes."""
    if sys.stderr is not None:  # it was closed before the start
        print(text, file=sys.stderr)  # noqa: T201 - the command's output


def say_json(document: Mapping[str, JsonValue]) -> None:
    """Print a result for machines; what JSON lacks is given as Spring's texts."""
    say(json_text(finite(dict(document)), indent=2))


def json_text(value: JsonValue, *, indent: int | None = None) -> str:
    """Return JSON that standard output can show, with escapes where it has to."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if _has_characters(text) else json.dumps(value, indent=indent)


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


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _has_characters(text: str) -> bool:
    """True if the encoding of standard output has every character of the text."""
    try:
        text.encode(_encoding())
    except UnicodeError:
        return False
    return True


class Progress:
    """A line on a terminal that says how far a long task has come; silent elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = sys.stderr is not None and sys.stderr.isatty()  # it may be closed

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
