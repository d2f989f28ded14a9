"""`access deactivate`: a principal may not sign in; its rules and its tokens stay."""

from typing import Final

from pyfly.config_cli._access.activity import activity_command

COMMAND: Final = activity_command(is_active=False)
