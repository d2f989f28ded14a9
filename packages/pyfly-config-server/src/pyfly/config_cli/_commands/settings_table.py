"""`settings table`: every setting, its names, its default and its meaning."""

from typing import Final

from pyfly.config_cli._cli.command import Command
from pyfly.config_cli._console.output import print_result


def print_settings() -> int:
    """Print the table; return the exit code."""
    # pydantic is not imported to complete a command line
    from pyfly.config_cli._settings.reference import settings_table  # noqa: PLC0415

    print_result(settings_table())
    return 0


COMMAND: Final = Command(
    "table",
    callback=print_settings,
    params=[],
    help="Print every setting as a table in Markdown: its names, its default and its meaning.",
    examples=["pyfly-config settings table"],
)
