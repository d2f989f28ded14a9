"""A configuration server without a framework: stores, composition, HTTP as values.

`ConfigServer` composes documents from a `ConfigBackend`. `Controller` answers HTTP requests, which
an adapter passes to it as values. The storage interface is `pyfly.config_server.storage`; the
conformance suite for stores is `pyfly.config_server.testing`.
"""

from typing import TYPE_CHECKING

from pyfly.config_server.access import Principal, Right, Rule
from pyfly.config_server.access.followed_file import FollowedAccessFile
from pyfly.config_server.composition import Bundles, Composition, ConfigServer, ServerOptions
from pyfly.config_server.encryption import (
    CipherRekeyer,
    Encryption,
    EncryptionKeys,
    KeyRing,
    KeyStoreFile,
    open_bound_keys,
    open_keys,
)
from pyfly.config_server.http.asgi import AT_END, ConfigServerApp
from pyfly.config_server.http.authentication import Authenticator, SharedCredential
from pyfly.config_server.http.controller import Controller
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.failed_sign_ins import SlowedAuthenticator
from pyfly.config_server.http.health import HealthRepository, HealthSettings
from pyfly.config_server.http.hosts import HostPolicy
from pyfly.config_server.http.messages import MAX_BODY_BYTES, HttpRequest, HttpResponse
from pyfly.config_server.http.metrics_app import MetricsApp
from pyfly.config_server.http.proxies import ProxyPolicy
from pyfly.config_server.http.ready_responses import KnownRequest, ReadyResponse
from pyfly.config_server.http.request_notes import (
    REQUEST_NOTES,
    RequestNotes,
    current_request_id,
    identified_request,
)
from pyfly.config_server.http.token_authentication import (
    AccessFileAuthenticator,
    AuthenticatorGroup,
)
from pyfly.config_server.http.webhook_secret import WebhookSecret
from pyfly.config_server.live import LiveDocuments, LiveOptions
from pyfly.config_server.live.standby import StandbyBackend
from pyfly.config_server.live.telemetry import Telemetry
from pyfly.config_server.storage import ConfigBackend, ConfigSource, RoutingBackend, StoreRoute
from pyfly.config_server.storage.registry import open_backend
from pyfly.config_server.stores.filesystem import FilesystemConfigBackend
from pyfly.config_server.stores.memory import InMemoryConfigBackend

if TYPE_CHECKING:
    from pyfly.config_client import ConfigClient as ConfigClient  # outside __all__: optional


__all__ = [
    "AT_END",
    "MAX_BODY_BYTES",
    "REQUEST_NOTES",
    "AccessFileAuthenticator",
    "Authenticator",
    "AuthenticatorGroup",
    "Bundles",
    "CipherRekeyer",
    "Composition",
    "ConfigBackend",
    "ConfigServer",
    "ConfigServerApp",
    "ConfigSource",
    "Controller",
    "Encryption",
    "EncryptionKeys",
    "FilesystemConfigBackend",
    "FollowedAccessFile",
    "HealthRepository",
    "HealthSettings",
    "HostPolicy",
    "HttpError",
    "HttpRequest",
    "HttpResponse",
    "InMemoryConfigBackend",
    "KeyRing",
    "KeyStoreFile",
    "KnownRequest",
    "LiveDocuments",
    "LiveOptions",
    "MetricsApp",
    "Principal",
    "ProxyPolicy",
    "ReadyResponse",
    "RequestNotes",
    "Right",
    "RoutingBackend",
    "Rule",
    "ServerOptions",
    "SharedCredential",
    "SlowedAuthenticator",
    "StandbyBackend",
    "StoreRoute",
    "Telemetry",
    "WebhookSecret",
    "current_request_id",
    "identified_request",
    "open_backend",
    "open_bound_keys",
    "open_keys",
]


def __getattr__(name: str) -> object:
    """Offer `ConfigClient` under this package too, when its distribution is installed."""
    if name != "ConfigClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from pyfly.config_client import ConfigClient  # noqa: PLC0415 - an optional distribution
    except ModuleNotFoundError as error:
        if error.name not in {"pyfly.config_client", "httpx"}:
            raise
        raise ImportError(
            "ConfigClient comes with another distribution: pip install pyfly-config-client"
        ) from error
    return ConfigClient
