"""`access activate`: a principal may sign in again."""

from typing import Final

from pyfly.config_cli._access.activity import activity_command

COMMAND: Final = activity_command(is_active=True)
