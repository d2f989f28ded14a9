"""`freezes`: what is frozen in a store, why, and until when."""

from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._access.moments import present
from pyfly.config_cli._cli.command import PROGRAM, Command, callback_of
from pyfly.config_cli._cli.parameters import json_option, store_argument
from pyfly.config_cli._console.output import print_json, print_note
from pyfly.config_cli._console.tables import print_table
from pyfly.config_cli._freezing.freeze_report import HEADINGS, freeze_document, freeze_row
from pyfly.config_cli._stores.opening import open_store
from pyfly.config_server.freezes import load_freezes

_HELP: Final = """\
Show the freezes of a store in the order in which they were made. One that has ended has no effect
any more; 'unfreeze' removes it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezesArguments:
    """Which store."""

    store: str
    as_json: bool


async def list_freezes(arguments: FreezesArguments) -> int:
    """Print the freezes; return the exit code."""
    async with open_store(arguments.store) as bundles:
        freezes = await load_freezes(bundles.backend)
    now = present()
    if arguments.as_json:
        print_json({"freezes": [freeze_document(one, now) for one in freezes]})
        return 0
    if freezes:
        print_table(HEADINGS, [freeze_row(one, now) for one in freezes])
    else:
        print_note("nothing is frozen")
    return 0


COMMAND: Final = Command(
    "freezes",
    callback=callback_of(list_freezes, FreezesArguments),
    params=[store_argument(), json_option()],
    help=_HELP,
    examples=[
        f"{PROGRAM} freezes ./config",
        f"{PROGRAM} freezes ./config --json",
    ],
)
