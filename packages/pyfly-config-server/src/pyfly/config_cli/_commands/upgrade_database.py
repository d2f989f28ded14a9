"""`db upgrade`: brings a store to the schema that its package needs."""

from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import json_option, store_argument
from pyfly.config_cli._console.output import print_json, print_result
from pyfly.config_cli._stores.opening import open_store
from pyfly.config_core import UnsupportedOperationError
from pyfly.config_server.storage import SupportsUpgrade, ability

_HELP: Final = """\
Bring the tables of a database to the schema that the installed package needs, and create them if
there are none. The stored bundles stay. A SQLite file is upgraded by its first use.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeArguments:
    """What to upgrade."""

    store: str
    as_json: bool


async def upgrade_database(arguments: UpgradeArguments) -> int:
    """Upgrade a store and print the steps; return the exit code."""
    async with open_store(arguments.store) as bundles:
        upgrading = ability(bundles.backend, SupportsUpgrade)
        if upgrading is None:
            raise UnsupportedOperationError(
                type(bundles.backend).__name__, "upgrades: it has no tables, there is nothing to do"
            )
        steps = await upgrading.upgrade()
    if arguments.as_json:
        print_json({"steps": [*steps]})
    else:
        print_result("upgraded to schema " + steps[-1] if steps else "the schema is up to date")
    return 0


COMMAND: Final = Command(
    "upgrade",
    callback=callback_of(upgrade_database, UpgradeArguments),
    params=[store_argument(), json_option()],
    help=_HELP,
    examples=["pyfly-config db upgrade postgresql://pyfly@db.example/config"],
)
