"""The ready-made application: one configuration server and its health."""

from functools import partial
from typing import Any

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import asgi

from pyfly.config_litestar._adapter import make_handler, request_of
from pyfly.config_litestar._plugin import ConfigServerPlugin
from pyfly.config_server import (
    ConfigServer,
    HealthController,
    HealthSettings,
    HostPolicy,
    SharedCredential,
)

_HEALTH_PATHS = ["/health/live", "/health/ready", "/actuator/health"]


def create_app(
    server: ConfigServer,
    *,
    auth: SharedCredential | None,
    health: HealthSettings | None = None,
    hosts: HostPolicy | None = None,
) -> Litestar:
    """Return an application that serves `server`, `/health/live` and `/health/ready`.

    `/actuator/health` is there too, for those who expect a Spring server. Health needs no
    credential and tells no reasons. The server is closed at shutdown. The only description of
    the interface is the one below the base path.

    Args:
        server: What to serve. The application owns it from here on.
        auth: The credential that every request for configuration must carry, or `None`.
        health: About `/actuator/health`.
        hosts: By which names requests may come, on every path but those of health. `None` checks
            nothing; without a credential any web page that a browser shows on this machine may
            then read everything.
    """
    answer_health = make_handler(HealthController(server, health))
    return Litestar(
        route_handlers=[asgi(_HEALTH_PATHS, copy_scope=False)(answer_health)],
        plugins=[ConfigServerPlugin(server, auth=auth, hosts=hosts)],
        on_shutdown=[server.aclose],
        exception_handlers={HTTPException: partial(_refuse, hosts=hosts)},
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def _refuse(
    request: Request[Any, Any, Any], error: HTTPException, *, hosts: HostPolicy | None
) -> Response[object]:
    """Answer what Litestar refuses itself, outside the base path; nothing of it is repeated."""
    status = error.status_code
    if hosts is not None:
        status = hosts.status(request_of(request.scope, request.receive)) or status
    return Response({"status": status}, status_code=status)
