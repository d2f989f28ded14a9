"""Properties as environment variables, for programs and libraries that read those."""

import os
from collections.abc import Mapping, MutableMapping

from pyfly.config_client._properties import Properties


def apply_to_environ(
    properties: Properties,
    environ: MutableMapping[str, str] | None = None,
    *,
    prefix: str = "",
    overwrite: bool = False,
) -> Mapping[str, str]:
    """Set environment variables from properties: `DB_POOLSIZE` from `db.pool-size`.

    A variable that is set already stays, because the environment outranks the server.

    Args:
        properties: What a client has fetched.
        environ: Instead of the environment of this process.
        prefix: What every name begins with, such as `ORDERS_`.
        overwrite: Replace variables that are set already.

    Returns:
        What was set.

    Raises:
        PropertyTypeError: Two keys would have the same name. Nothing was set.
    """
    target = os.environ if environ is None else environ
    chosen = {
        name: text
        for name, text in properties.to_environ(prefix).items()
        if overwrite or name not in target
    }
    target.update(chosen)
    return chosen
