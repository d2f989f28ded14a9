"""`settings`: the commands that describe the settings of the server."""

from typing import Final

from pyfly.config_cli._cli.command import CommandGroup
from pyfly.config_cli._commands.catalogue import SETTINGS_COMMANDS

COMMAND: Final = CommandGroup(
    "settings", SETTINGS_COMMANDS, help="Describe the settings of 'pyfly-config serve'."
)
