"""HTTP without a framework: values in, values out. Adapters call `Controller.handle`."""

from pyfly.config_server.http.access import SharedCredential
from pyfly.config_server.http.controller import Controller
from pyfly.config_server.http.health import HealthController, HealthRepository, HealthSettings
from pyfly.config_server.http.hosts import HostPolicy
from pyfly.config_server.http.messages import MAX_BODY_BYTES, HttpRequest, HttpResponse

__all__ = [
    "MAX_BODY_BYTES",
    "Controller",
    "HealthController",
    "HealthRepository",
    "HealthSettings",
    "HostPolicy",
    "HttpRequest",
    "HttpResponse",
    "SharedCredential",
]
