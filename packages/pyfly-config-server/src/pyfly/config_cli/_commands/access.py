"""`access`: the commands for the access file."""

from typing import Final

from pyfly.config_cli._cli.command import CommandGroup
from pyfly.config_cli._commands.catalogue import ACCESS_COMMANDS

COMMAND: Final = CommandGroup(
    "access",
    ACCESS_COMMANDS,
    help=(
        "Say who may do what: principals with rules and tokens, in the access file of a server. "
        "Running servers follow the file within a second."
    ),
)
