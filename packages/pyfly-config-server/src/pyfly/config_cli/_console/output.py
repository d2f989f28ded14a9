"""Standard output for results, standard error for remarks and errors.

Either may be closed, may be a pipe that nobody reads any more, or may lack characters.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Final, Literal, TextIO, TypeAlias

from pyfly.config_cli._errors import ArgumentError
from pyfly.config_core import JsonValue, finite

Colour: TypeAlias = Literal["green", "red"]

_CODES: Final[dict[Colour, int]] = {"green": 32, "red": 31}


def prepare_output() -> None:
    """Let results be printed in any encoding: characters that it lacks become escapes."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if callable(reconfigure):
        reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """Write what is buffered.

    Raises:
        OSError: Standard output cannot be written; `BrokenPipeError` if its reader has gone.
    """
    if sys.stdout is not None:  # it was closed before the start
        sys.stdout.flush()


def discard_output() -> None:
    """Discard what cannot be written, so that the end of the process does not try again."""
    try:
        flush_output()
    except OSError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)


def is_terminal(stream: TextIO | None) -> bool:
    """True if a person reads the stream; a closed stream is `None`."""
    return stream is not None and stream.isatty()


def coloured(text: str, colour: Colour, *, stream: TextIO | None) -> str:
    """Return a text in a colour if the stream is a terminal that shows colours.

    The variable `NO_COLOR` switches colours off.
    """
    if not is_terminal(stream) or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def print_result(text: str) -> None:
    """Print a result."""
    print(text)  # noqa: T201 - the command's output


def print_exactly(text: str) -> None:
    """Print a result that must not be changed by escapes.

    Raises:
        ArgumentError: The encoding of standard output lacks a character of it.
    """
    if not _has_characters(text):
        raise ArgumentError(
            f"standard output is {_encoding()}, which lacks characters of the result; "
            "set PYTHONIOENCODING=utf-8"
        )
    print_result(text)


def print_note(text: str) -> None:
    """Print a remark to standard error."""
    if sys.stderr is not None:  # it was closed before the start
        print(text, file=sys.stderr)  # noqa: T201 - the command's output


def print_error(text: str, *, program: str = "pyfly-config") -> None:
    """Print an error behind the name of the program."""
    print_note(f"{coloured(program + ':', 'red', stream=sys.stderr)} {text}")


def print_json(document: Mapping[str, JsonValue]) -> None:
    """Print a result for programs. NaN and infinite numbers become texts, as Spring writes them."""
    print_result(json_text(finite(dict(document)), indent=2))


def json_text(value: JsonValue, *, indent: int | None = None) -> str:
    """Return JSON, with escapes only for characters that standard output lacks."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if _has_characters(text) else json.dumps(value, indent=indent)


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _has_characters(text: str) -> bool:
    """True if the encoding of standard output has every character of the text."""
    try:
        text.encode(_encoding())
    except UnicodeError:
        return False
    return True
