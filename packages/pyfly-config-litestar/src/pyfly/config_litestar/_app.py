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

    `/actuator/health` is there too, for those who expect a Spring server. Health needs no
    credential and tells no reasons. The server is closed at shutdown. The only description of
    the interface is the one below the base path. Requests for these paths are answered in front of
    Litestar, which gets all others.

    Args:
        server: What to serve. The application owns it from here on.
        auth: Finds the principal of every request for configuration, or `None`.
        health: About `/actuator/health`.
        hosts: By which names requests may come, on every path but those of health. `None` checks
            nothing; without a credential any web page that a browser shows on this machine may
            then read everything.
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
    """Return an application that answers what `front` serves there, and the rest behind it."""

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        untyped: Any = scope  # Litestar's types of ASGI are its own
        app: Any = front if front.serves(untyped) else behind
        await app(scope, receive, send)

    return dispatch


def _refuse(
    request: Request[Any, Any, Any], error: HTTPException, *, hosts: HostPolicy | None
) -> Response[object]:
    """Answer what Litestar refuses itself, outside the base path; nothing of it is repeated."""
    status = error.status_code
    if hosts is not None:
        connection: Any = request  # Litestar's types of ASGI are its own
        status = hosts.status(http_request(connection.scope, connection.receive)) or status
    return Response({"status": status}, status_code=status)
