"""Properties as environment variables, for programs and libraries that read those."""

import os
from collections.abc import Mapping, MutableMapping

from pyfly.config_client._result.names import variable
from pyfly.config_client._result.properties import Properties
from pyfly.config_client.errors import PropertyTypeError


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
        for name, text in variables_of(properties, prefix).items()
        if overwrite or name not in target
    }
    target.update(chosen)
    return chosen


def variables_of(properties: Properties, prefix: str) -> dict[str, str]:
    """Return properties as environment variables.

    Raises:
        PropertyTypeError: Two keys with different values would have the same name, or a value
            holds a NUL.
    """
    found: dict[str, tuple[str, str]] = {}
    for key, value in properties.items():
        name = prefix + variable(key)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if "\0" in text:
            raise PropertyTypeError(f"the property {key!r} holds a NUL")
        other, known = found.setdefault(name, (key, text))
        if known != text:
            raise PropertyTypeError(f"{other!r} and {key!r} would both be {name}")
    return {name: text for name, (_, text) in found.items()}
