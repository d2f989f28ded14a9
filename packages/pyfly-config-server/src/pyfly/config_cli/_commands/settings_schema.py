"""`settings schema`: a JSON schema of the settings file, for editors."""

from typing import Final

from pyfly.config_cli._cli.command import Command
from pyfly.config_cli._console.output import print_json


def print_schema() -> int:
    """Print the schema; return the exit code."""
    # pydantic is not imported to complete a command line
    from pyfly.config_cli._settings.reference import settings_schema  # noqa: PLC0415

    print_json(settings_schema())
    return 0


COMMAND: Final = Command(
    "schema",
    callback=print_schema,
    params=[],
    help=(
        "Print a JSON schema of the settings file. An editor that knows it completes the keys and "
        "marks mistakes."
    ),
    examples=["pyfly-config settings schema > settings.schema.json"],
)
