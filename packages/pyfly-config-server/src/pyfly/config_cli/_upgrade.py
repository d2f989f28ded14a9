"""`db upgrade`: a store is brought to the form that its package needs."""

import argparse

from pyfly.config_cli import _stores as stores
from pyfly.config_cli._output import say, say_json
from pyfly.config_core import UnsupportedOperationError
from pyfly.config_server.storage import SupportsUpgrade


async def upgrade(arguments: argparse.Namespace) -> int:
    """Upgrade the store and say what was done."""
    async with stores.opened(arguments.store) as bundles:
        backend = bundles.backend
        if not isinstance(backend, SupportsUpgrade):
            raise UnsupportedOperationError(
                type(backend).__name__, "upgrades: it has no tables, there is nothing to do"
            )
        steps = await backend.upgrade()
    if arguments.json:
        say_json({"steps": [*steps]})
    else:
        say("upgraded to schema " + steps[-1] if steps else "the schema is up to date")
    return 0
