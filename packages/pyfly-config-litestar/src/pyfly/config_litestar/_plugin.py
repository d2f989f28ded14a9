"""The plugin that serves a configuration server in a Litestar application."""

from typing import Any, Final, TypeVar

from litestar import Request, route
from litestar.config.app import AppConfig
from litestar.enums import HttpMethod
from litestar.exceptions import ImproperlyConfiguredException
from litestar.plugins import InitPlugin, ReceiveRoutePlugin
from litestar.routes import ASGIRoute, BaseRoute
from litestar.types import ASGIApp

from pyfly.config_server import Authenticator, ConfigServer, ConfigServerApp, HostPolicy
from pyfly.config_server.live import LiveOptions

_LIVE: Final = LiveOptions()
_ResponseT = TypeVar("_ResponseT")


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

    Raises:
        ImproperlyConfiguredException: The application has a mount that takes every path below the
            base path. Raised when the application is made.
    """

    def __init__(
        self,
        server: ConfigServer,
        *,
        auth: Authenticator | None,
        hosts: HostPolicy | None = None,
        live: LiveOptions | None = _LIVE,
    ) -> None:
        self._base_path = server.base_path
        self._front = ConfigServerApp(server, auth=auth, hosts=hosts, live=live)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the handler for every path below the base path.

        It is a route with a path parameter, because Litestar passes requests for `/configuration`
        to a mount at `/config`. That costs some 3 microseconds per request.
        """
        front: Any = self._front  # Litestar has its own ASGI types
        config_app: ASGIApp = front

        async def serve_configuration() -> ASGIApp:
            return config_app

        paths = [f"{self._base_path}/{{rest:path}}"]
        if self._base_path:
            paths.append(self._base_path)
        handler = route(
            paths,
            http_method=list(HttpMethod),
            before_request=_do_nothing,  # the hooks of the application expect Litestar's responses
            after_request=_keep_response,
            dto=None,
            return_dto=None,
            include_in_schema=False,
        )
        app_config.route_handlers.append(handler(serve_configuration))
        app_config.on_startup.append(self._front.start)
        app_config.on_shutdown.insert(0, self._front.aclose)  # before the server is closed
        return app_config

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


async def _do_nothing(request: Request[Any, Any, Any]) -> None:
    del request


async def _keep_response(response: _ResponseT) -> _ResponseT:
    return response
