"""The ready-made application: one configuration server and its health."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send

from pyfly.config_server import (
    Authenticator,
    ConfigServer,
    ConfigServerApp,
    HealthSettings,
    HostPolicy,
    ProxyPolicy,
    Telemetry,
    WebhookSecret,
)
from pyfly.config_server.audit import Audit
from pyfly.config_server.http.asgi import http_request
from pyfly.config_server.http.responses import SECURITY_HEADERS
from pyfly.config_server.live import LiveOptions

_LIVE: Final = LiveOptions()


class ReadyApp:
    """The ready-made application for an ASGI server.

    Requests for the configuration and for health do not pass through Litestar, which gets all
    others.

    Args:
        front: Answers the paths that it serves.
        litestar: Answers all others, and has the lifespan.
    """

    def __init__(self, front: ConfigServerApp, litestar: Litestar) -> None:
        self.litestar: Final = litestar
        """The application behind."""
        self.dispatch: Final[ASGIApp] = _dispatch(front, litestar)
        """The same as a call of this object, without its cost."""
        self.front: Final = front
        """The configuration server in front."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or handle the lifespan."""
        await self.dispatch(scope, receive, send)

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Return the lifespan, for servers that do not send its events."""
        return self.litestar.lifespan()

    def release(self, *, ends_connections: bool = False) -> None:
        """Answer all held requests; hold no more.

        Args:
            ends_connections: True to send `Connection: close` with these responses.
        """
        self.front.release(ends_connections=ends_connections)


def create_app(  # noqa: PLR0913 - one keyword for each part
    server: ConfigServer,
    *,
    auth: Authenticator | None,
    health: HealthSettings | None = None,
    hosts: HostPolicy | None = None,
    live: LiveOptions | None = _LIVE,
    telemetry: Telemetry | None = None,
    webhook_secret: WebhookSecret | None = None,
    audit: Audit | None = None,
    proxies: ProxyPolicy | None = None,
) -> Litestar:
    """Return an application that serves `server`, `/health/live` and `/health/ready`.

    It also serves `/actuator/health`, as a Spring server does, `/metrics` and `/monitor`. Health
    needs no credential and gives no reasons. The server is closed at shutdown. The only OpenAPI
    document is the one below the base path. Requests for these paths are answered in front of
    Litestar, which gets all others.

    Args:
        server: The server, which the application owns and closes.
        auth: The authenticator, or `None`.
        health: Settings of `/actuator/health`.
        hosts: The policy for `Host` headers on all paths except health. `None` accepts every host;
            without a credential, every web page in a browser on this machine can then read
            everything.
        live: The options of the live layer. `None` reads the stores for every request.
        telemetry: Counts the responses and renders `/metrics`, which needs the right `operate`.
            `None` counts, and shows nothing.
        webhook_secret: The secret with which providers of repositories sign requests to
            `/monitor`. `None` accepts only requests with a credential there.
        audit: The audit log, which the application closes. `None` records nothing.
        proxies: The proxies whose headers about clients are believed, and refused from others on
            all paths except health. `None` ignores the headers.
    """
    front, app = _front_and_behind(
        server,
        auth=auth,
        health=health,
        hosts=hosts,
        live=live,
        telemetry=telemetry,
        webhook_secret=webhook_secret,
        audit=audit,
        proxies=proxies,
    )
    app.asgi_handler = _dispatch(front, app.asgi_handler)
    return app


def create_asgi_app(  # noqa: PLR0913 - as `create_app`
    server: ConfigServer,
    *,
    auth: Authenticator | None,
    health: HealthSettings | None = None,
    hosts: HostPolicy | None = None,
    live: LiveOptions | None = _LIVE,
    telemetry: Telemetry | None = None,
    webhook_secret: WebhookSecret | None = None,
    audit: Audit | None = None,
    proxies: ProxyPolicy | None = None,
) -> ReadyApp:
    """Return what `create_app` returns as an ASGI application with less work for each request.

    The arguments are those of `create_app`.
    """
    front, app = _front_and_behind(
        server,
        auth=auth,
        health=health,
        hosts=hosts,
        live=live,
        telemetry=telemetry,
        webhook_secret=webhook_secret,
        audit=audit,
        proxies=proxies,
    )
    return ReadyApp(front, app)


def _front_and_behind(  # noqa: PLR0913 - as `create_app`
    server: ConfigServer,
    *,
    auth: Authenticator | None,
    health: HealthSettings | None,
    hosts: HostPolicy | None,
    live: LiveOptions | None,
    telemetry: Telemetry | None,
    webhook_secret: WebhookSecret | None,
    audit: Audit | None,
    proxies: ProxyPolicy | None,
) -> tuple[ConfigServerApp, Litestar]:
    health = HealthSettings() if health is None else health
    front = ConfigServerApp(
        server,
        auth=auth,
        hosts=hosts,
        health=health,
        live=live,
        telemetry=telemetry,
        webhook_secret=webhook_secret,
        audit=audit,
        proxies=proxies,
    )
    app = Litestar(
        on_startup=[front.start],
        on_shutdown=[front.aclose, server.aclose],
        exception_handlers={
            HTTPException: partial(_refuse, policies=[one for one in (proxies, hosts) if one])
        },
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    return front, app


def _dispatch(front: ConfigServerApp, behind: ASGIApp) -> ASGIApp:
    """Return an application that passes the paths of `front` to it, and others to `behind`."""
    serves: Any = front.serves  # Litestar has its own ASGI types
    answer: Any = front

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        if serves(scope):
            await answer(scope, receive, send)
        else:
            await behind(scope, receive, send)

    return dispatch


def _refuse(
    request: Request[Any, Any, Any],
    error: HTTPException,
    *,
    policies: Sequence[HostPolicy | ProxyPolicy],
) -> Response[object]:
    """Return the response for a refusal of Litestar, outside of the base path, without its text."""
    connection: Any = request  # Litestar has its own ASGI types
    sent = http_request(connection.scope, connection.receive)
    refusals = (one.status(sent) for one in policies)
    status = next(filter(None, refusals), error.status_code)
    headers = {name.decode(): value.decode() for name, value in SECURITY_HEADERS}
    return Response({"status": status}, status_code=status, headers=headers)
