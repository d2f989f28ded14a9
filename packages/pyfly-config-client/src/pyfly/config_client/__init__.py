"""Reads the configuration of a service from a pyfly-config or Spring Cloud Config server.

Importing this package imports no other module. Its names are imported when they are first used,
and httpx is imported with the first request.
"""

from importlib import import_module as _import_module

TYPE_CHECKING = False  # type checkers know the name; importing typing takes 10 ms

if TYPE_CHECKING:
    from pyfly.config_client._changes import Change, ClientStatus, Problem
    from pyfly.config_client._client import ConfigClient, SyncConfigClient, config_lifespan
    from pyfly.config_client._config import ClientConfig
    from pyfly.config_client._environ import apply_to_environ
    from pyfly.config_client._live import AsyncLive, Live, SyncLive
    from pyfly.config_client._live_values import Rejection
    from pyfly.config_client._merging import Explanation, Origin
    from pyfly.config_client._properties import Properties
    from pyfly.config_client._scalars import DataSize
    from pyfly.config_client._watch import AsyncWatcher, Watcher
    from pyfly.config_client.errors import (
        ConfigClientError,
        InvalidPayloadError,
        MissingPropertyError,
        PropertyTypeError,
        ServerRejectedError,
        ServerUnreachableError,
        SnapshotError,
        StaleResponseError,
        UnsupportedTypeError,
    )

_MODULES = {
    "AsyncLive": "_live",
    "AsyncWatcher": "_watch",
    "Change": "_changes",
    "ClientConfig": "_config",
    "ClientStatus": "_changes",
    "ConfigClient": "_client",
    "DataSize": "_scalars",
    "Explanation": "_merging",
    "Live": "_live",
    "Origin": "_merging",
    "Problem": "_changes",
    "Properties": "_properties",
    "Rejection": "_live_values",
    "SyncConfigClient": "_client",
    "SyncLive": "_live",
    "Watcher": "_watch",
    "apply_to_environ": "_environ",
    "config_lifespan": "_client",
}

__all__ = [
    "AsyncLive",
    "AsyncWatcher",
    "Change",
    "ClientConfig",
    "ClientStatus",
    "ConfigClient",
    "ConfigClientError",
    "DataSize",
    "Explanation",
    "InvalidPayloadError",
    "Live",
    "MissingPropertyError",
    "Origin",
    "Problem",
    "Properties",
    "PropertyTypeError",
    "Rejection",
    "ServerRejectedError",
    "ServerUnreachableError",
    "SnapshotError",
    "StaleResponseError",
    "SyncConfigClient",
    "SyncLive",
    "UnsupportedTypeError",
    "Watcher",
    "apply_to_environ",
    "config_lifespan",
]


if not TYPE_CHECKING:  # otherwise type checkers accept every name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(_import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
        globals()[name] = value
        return value
