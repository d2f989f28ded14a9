"""`access schema`: a JSON schema of the access file, for editors."""

from typing import Final

from pyfly.config_cli._cli.command import PROGRAM, Command
from pyfly.config_cli._console.output import print_json
from pyfly.config_server.access.access_file import access_file_schema


def print_schema() -> int:
    """Print the schema; return the exit code."""
    print_json(access_file_schema())
    return 0


COMMAND: Final = Command(
    "schema",
    callback=print_schema,
    params=[],
    help=(
        "Print a JSON schema of the access file. An editor that knows it completes the keys and "
        "marks mistakes."
    ),
    examples=[f"{PROGRAM} access schema > access.schema.json"],
)
