"""Reads a service's configuration from a pyfly-config or Spring Cloud Config server.

Importing this package loads neither httpx nor asyncio; the first request does.
"""

from pyfly.config_client._client import ConfigClient, SyncConfigClient
from pyfly.config_client._properties import ConfigProperties
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerRejectedError,
    ServerUnreachableError,
)

__all__ = [
    "ConfigClient",
    "ConfigClientError",
    "ConfigProperties",
    "InvalidPayloadError",
    "ServerRejectedError",
    "ServerUnreachableError",
    "SyncConfigClient",
]
