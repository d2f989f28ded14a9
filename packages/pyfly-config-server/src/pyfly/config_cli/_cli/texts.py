"""Texts that are given as an argument, on a terminal, or in a pipe."""

import getpass
import re
import sys
from typing import Final

from pyfly.config_cli._console.output import is_terminal
from pyfly.config_cli._errors import ArgumentError

_LINE_END: Final = re.compile(r"\r?\n\Z")


def read_text(given: str | None, *, prompt: str) -> str:
    """Return the text that was given, or ask for it on a terminal, or read standard input.

    Raises:
        ArgumentError: Standard input is closed or is not UTF-8.
    """
    if given is not None:
        return given
    if sys.stdin is None:  # it was closed before the start
        raise ArgumentError("there is no text: standard input is closed")
    if is_terminal(sys.stdin):
        return getpass.getpass(prompt)
    try:
        return without_line_end(sys.stdin.buffer.read().decode())
    except UnicodeDecodeError:  # not chained: it holds the bytes
        raise ArgumentError("standard input is not UTF-8") from None


def without_line_end(text: str) -> str:
    """Return a text without the one line end that editors, `echo` and pipes put behind it."""
    return _LINE_END.sub("", text)
