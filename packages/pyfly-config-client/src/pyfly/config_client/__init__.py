"""Reads a service's configuration from a pyfly-config or Spring Cloud Config server.

Importing this package loads nothing else; the names below load what they need, and httpx comes
with the first request.
"""

from importlib import import_module as _import_module

TYPE_CHECKING = False  # checkers know the name; typing costs 10 ms

if TYPE_CHECKING:
    from pyfly.config_client._client import ConfigClient, SyncConfigClient
    from pyfly.config_client._environ import apply_to_environ
    from pyfly.config_client._lifespan import config_lifespan
    from pyfly.config_client._result.change import Change
    from pyfly.config_client._result.origin import Explanation, Origin
    from pyfly.config_client._result.properties import Properties
    from pyfly.config_client._result.quantities import DataSize
    from pyfly.config_client._watch.watcher import Watcher
    from pyfly.config_client.errors import (
        ConfigClientError,
        InvalidPayloadError,
        MissingPropertyError,
        PropertyTypeError,
        ServerRejectedError,
        ServerUnreachableError,
        SnapshotError,
        UnsupportedTypeError,
    )

_HOMES = {
    "Change": "_result.change",
    "ConfigClient": "_client",
    "DataSize": "_result.quantities",
    "Explanation": "_result.origin",
    "Origin": "_result.origin",
    "Properties": "_result.properties",
    "SyncConfigClient": "_client",
    "Watcher": "_watch.watcher",
    "apply_to_environ": "_environ",
    "config_lifespan": "_lifespan",
}

__all__ = [
    "Change",
    "ConfigClient",
    "ConfigClientError",
    "DataSize",
    "Explanation",
    "InvalidPayloadError",
    "MissingPropertyError",
    "Origin",
    "Properties",
    "PropertyTypeError",
    "ServerRejectedError",
    "ServerUnreachableError",
    "SnapshotError",
    "SyncConfigClient",
    "UnsupportedTypeError",
    "Watcher",
    "apply_to_environ",
    "config_lifespan",
]


if not TYPE_CHECKING:  # or checkers would believe in every name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found: object = getattr(_import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
        globals()[name] = found
        return found
