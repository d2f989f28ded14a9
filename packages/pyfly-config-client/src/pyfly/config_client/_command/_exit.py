"""What the exit codes of the command mean, and what it says beside its output."""

import sys
from typing import Final

from pyfly.config_client.errors import ConfigClientError

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_MISSING: Final = 3
EXIT_CANNOT_RUN: Final = 126
EXIT_NO_COMMAND: Final = 127
EXIT_INTERRUPTED: Final = 130

MEANINGS: Final = {
    0: "done",
    EXIT_FAILED: "there is no configuration, or it cannot be used",
    EXIT_USAGE: "an argument or a variable is wrong",
    EXIT_MISSING: "there is no such property",
    EXIT_CANNOT_RUN: "'run': the command cannot be executed",
    EXIT_NO_COMMAND: "'run': there is no such command",
    EXIT_INTERRUPTED: "interrupted",
}


def say(text: str) -> None:
    """Print a result.

    Raises:
        ConfigClientError: The output is in an encoding that lacks some of the characters.
    """
    try:
        print(text)  # noqa: T201 - the command's output
    except UnicodeEncodeError as error:  # not chained: it holds the text
        encoding = error.encoding
    else:
        return
    raise ConfigClientError(
        f"the output is encoded as {encoding}, which lacks some characters of the configuration; "
        "set PYTHONIOENCODING=utf-8"
    )


def note(text: str) -> None:
    """Print a remark, out of the way of pipes."""
    print(text, file=sys.stderr)  # noqa: T201 - the command's output
