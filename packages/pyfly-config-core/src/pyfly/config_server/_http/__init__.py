"""HTTP without a framework: values in, values out. Adapters call `Controller.handle`."""

from pyfly.config_server._http.access import SharedCredential
from pyfly.config_server._http.controller import Controller
from pyfly.config_server._http.health import HealthController
from pyfly.config_server._http.messages import HttpRequest, HttpResponse

__all__ = ["Controller", "HealthController", "HttpRequest", "HttpResponse", "SharedCredential"]
