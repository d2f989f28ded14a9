"""The plugin that serves a configuration server in a Litestar application."""

from typing import Any, Final

from litestar import route
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.exceptions import ImproperlyConfiguredException
from litestar.plugins import InitPlugin, ReceiveRoutePlugin
from litestar.routes import ASGIRoute, BaseRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from pyfly.config_server import (
    Authenticator,
    ConfigServer,
    ConfigServerApp,
    HostPolicy,
    ProxyPolicy,
)
from pyfly.config_server.audit import Audit
from pyfly.config_server.live import LiveOptions

_LIVE: Final = LiveOptions()


class ConfigServerPlugin(InitPlugin, ReceiveRoutePlugin):
    """Serves a `ConfigServer` below its `base_path` only.

    Other handlers of the application do not change, even if their paths have the same beginning,
    such as `/configuration` beside `/config`. Middleware and guards of the application apply to
    these routes; its `before_request` and `after_request` hooks do not. The server is not closed;
    its owner closes it.

    Args:
        server: The server, with the base path.
        auth: The authenticator. `None` must be given explicitly: the embedding application then
            controls reading, and writing is refused.
        hosts: The policy for `Host` headers. `None` leaves this to the application.
        live: The options of the live layer. `None` reads the stores for every request.
        audit: The audit log, which the application closes. `None` records nothing.
        proxies: The proxies whose headers about clients are believed. `None` ignores the headers.

    Raises:
        ImproperlyConfiguredException: The application has a mount that takes every path below the
            base path. Raised when the application is made.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each part
        self,
        server: ConfigServer,
        *,
        auth: Authenticator | None,
        hosts: HostPolicy | None = None,
        live: LiveOptions | None = _LIVE,
        audit: Audit | None = None,
        proxies: ProxyPolicy | None = None,
    ) -> None:
        self._base_path = server.base_path
        self._front = ConfigServerApp(
            server, auth=auth, hosts=hosts, live=live, audit=audit, proxies=proxies
        )

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the handler for every path below the base path.

        It is a route with a path parameter, because Litestar passes requests for `/configuration`
        to a mount at `/config`. The middleware of this route answers, so that Litestar makes no
        request and no response of its own.
        """
        paths = [f"{self._base_path}/{{rest:path}}"]
        if self._base_path:
            paths.append(self._base_path)
        handler = route(
            paths,
            http_method=list(HttpMethod),
            middleware=[self._answering],
            include_in_schema=False,
        )
        app_config.route_handlers.append(handler(_never_called))
        app_config.on_startup.append(self._front.start)
        app_config.on_shutdown.insert(0, self._front.aclose)  # before the server is closed
        return app_config

    def _answering(self, app: ASGIApp) -> ASGIApp:
        """Return the innermost middleware of the route, which answers after the guards."""
        del app
        front: Any = self._front  # Litestar has its own ASGI types

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            handler: Any = scope["route_handler"]
            if handler.resolve_guards():
                connection = ASGIConnection[Any, Any, Any, Any](scope, receive, send)
                await handler.authorize_connection(connection)
            await front(scope, receive, send)

        return answer

    def receive_route(self, route: BaseRoute) -> None:
        """Refuse a mount that hides the routes of the server."""
        is_mount = isinstance(route, ASGIRoute) and route.route_handler.is_mount
        if is_mount and f"{self._base_path}/".startswith(route.path):
            raise ImproperlyConfiguredException(
                f"Litestar gives every path that begins with {route.path!r} to what is mounted "
                f"there, so the configuration at {self._base_path or '/'!r} could not be reached: "
                "choose another base path, or mount pyfly.config_server.ConfigServerApp in front "
                "of Litestar"
            )


async def _never_called() -> None:
    """Stand for the route; its middleware answers."""
