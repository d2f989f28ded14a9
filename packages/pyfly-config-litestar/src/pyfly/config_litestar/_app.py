"""The ready-made application: one configuration server and its health."""

from functools import partial
from typing import Any

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send

from pyfly.config_server import (
    Authenticator,
    ConfigServer,
    ConfigServerApp,
    HealthSettings,
    HostPolicy,
)
from pyfly.config_server.http.asgi import http_request


def create_app(
    server: ConfigServer,
    *,
    auth: Authenticator | None,
    health: HealthSettings | None = None,
    hosts: HostPolicy | None = None,
) -> Litestar:
    """Return an application that serves `server`, `/health/live` and `/health/ready`.

    It also serves `/actuator/health`, as a Spring server does. Health needs no credential and gives
    no reasons. The server is closed at shutdown. The only OpenAPI document is the one below the
    base path. Requests for these paths are answered in front of Litestar, which gets all others.

    Args:
        server: The server, which the application owns and closes.
        auth: The authenticator, or `None`.
        health: Settings of `/actuator/health`.
        hosts: The policy for `Host` headers on all paths except health. `None` accepts every host;
            without a credential, every web page in a browser on this machine can then read
            everything.
    """
    app = Litestar(
        on_shutdown=[server.aclose],
        exception_handlers={HTTPException: partial(_refuse, hosts=hosts)},
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    health = HealthSettings() if health is None else health
    front = ConfigServerApp(server, auth=auth, hosts=hosts, health=health, closes_server=False)
    app.asgi_handler = _dispatch(front, app.asgi_handler)
    return app


def _dispatch(front: ConfigServerApp, behind: ASGIApp) -> ASGIApp:
    """Return an application that passes the paths of `front` to it, and others to `behind`."""

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        untyped: Any = scope  # Litestar has its own ASGI types
        app: Any = front if front.serves(untyped) else behind
        await app(scope, receive, send)

    return dispatch


def _refuse(
    request: Request[Any, Any, Any], error: HTTPException, *, hosts: HostPolicy | None
) -> Response[object]:
    """Return the response for a refusal of Litestar, outside of the base path, without its text."""
    status = error.status_code
    if hosts is not None:
        connection: Any = request  # Litestar has its own ASGI types
        status = hosts.status(http_request(connection.scope, connection.receive)) or status
    return Response({"status": status}, status_code=status)
