"""Properties as environment variables, for programs and libraries that read those."""

import logging
import os
from collections import Counter
from collections.abc import Container, Iterator, Mapping, MutableMapping
from typing import Final

from pyfly.config_client._result.merging import Broken, as_text
from pyfly.config_client._result.names import snake_variable, variable
from pyfly.config_client._result.properties import Properties
from pyfly.config_client.errors import PropertyTypeError

_LOG: Final = logging.getLogger("pyfly.config_client")


def apply_to_environ(
    properties: Properties,
    environ: MutableMapping[str, str] | None = None,
    *,
    prefix: str = "",
    overwrite: bool = False,
) -> Mapping[str, str]:
    """Set environment variables from properties: `DB_POOL_SIZE` from `db.pool-size`.

    A variable that is set already stays, because the environment outranks the server; so does
    `DB_POOLSIZE`, which means the same property. A property whose placeholders cannot be
    resolved is left out, and logged; one whose name is empty is left out.

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
    chosen = variables_of(properties, prefix, besides=() if overwrite else target)
    target.update(chosen)
    return chosen


def variables_of(
    properties: Properties, prefix: str = "", *, besides: Container[str] = ()
) -> dict[str, str]:
    """Return properties as environment variables, without those that are set already.

    Raises:
        PropertyTypeError: Two keys with different values would have the same name, or a value
            holds a NUL.
    """
    texts = dict(_texts(properties))
    shared = Counter(map(snake_variable, texts))
    found: dict[str, str] = {}
    for key, text in texts.items():
        snake = snake_variable(key)
        name = prefix + (snake if shared[snake] == 1 else variable(key))
        other = found.setdefault(name, key)
        if texts[other] != text:
            raise PropertyTypeError(f"{other!r} and {key!r} would both be {name}")
    return {
        name: texts[key]
        for name, key in found.items()
        if name not in besides and prefix + variable(key) not in besides
    }


def _texts(properties: Properties) -> Iterator[tuple[str, str]]:
    for key, value in properties.entries().values():
        if isinstance(value, Broken):
            _LOG.warning("%s; it is left out", value.error())
            continue
        text = as_text(value)
        if "\0" in text:
            raise PropertyTypeError(f"the property {key!r} holds a NUL")
        if variable(key):  # a key of brackets alone has no name
            yield key, text
