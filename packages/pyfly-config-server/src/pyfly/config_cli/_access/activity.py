"""The two commands that switch a principal on and off."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from pyfly.config_cli._access.edits import with_activity
from pyfly.config_cli._access.files import AccessText, change_access
from pyfly.config_cli._access.options import AccessArguments, access_options, principal_argument
from pyfly.config_cli._cli.command import PROGRAM, Command, sync_callback_of
from pyfly.config_cli._console.output import print_json, print_result

_HELP: Final = {
    True: "Let a principal sign in again, with its rules and its tokens as they are.",
    False: "Refuse a principal. It keeps its name, its rules and its tokens, and may be activated "
    "again. Running servers refuse it within a second.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityArguments(AccessArguments):
    """Which principal."""

    principal: str


def activity_command(*, is_active: bool) -> Command:
    """Return the command `activate` or `deactivate`."""
    word = "activate" if is_active else "deactivate"
    return Command(
        word,
        callback=sync_callback_of(partial(_switch, is_active=is_active), ActivityArguments),
        params=[principal_argument(), *access_options()],
        help=_HELP[is_active],
        examples=[f"{PROGRAM} access {word} orders --file access.toml"],
    )


def _switch(arguments: ActivityArguments, *, is_active: bool) -> int:
    was = False

    def change(access: AccessText) -> str:
        nonlocal was
        entry = access.entry(arguments.principal)
        was = entry.is_active
        if was is is_active:
            return access.text
        return with_activity(access.text, replace(entry, is_active=is_active), access.table.entries)

    change_access(arguments.path, change)
    if arguments.as_json:
        print_json({"principal": arguments.principal, "active": is_active})
    else:
        state = "active" if is_active else "not active"
        print_result(f"{arguments.principal} {'was' if was is is_active else 'is'} {state}")
    return 0
