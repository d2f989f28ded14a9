"""`db`: the commands for databases."""

from typing import Final

from pyfly.config_cli._cli.command import CommandGroup
from pyfly.config_cli._commands.catalogue import DATABASE_COMMANDS

COMMAND: Final = CommandGroup(
    "db", DATABASE_COMMANDS, help="Create and upgrade the tables of a database."
)
