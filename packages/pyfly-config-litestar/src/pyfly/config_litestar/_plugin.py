"""The plugin that mounts a configuration server in a Litestar application."""

from litestar.config.app import AppConfig
from litestar.handlers import asgi
from litestar.plugins import InitPlugin
from litestar.types import Receive, Scope, Send

from pyfly.config_litestar._adapter import make_handler
from pyfly.config_litestar._neighbours import dispatch_again
from pyfly.config_server import ConfigServer, Controller, HostPolicy, SharedCredential


class ConfigServerPlugin(InitPlugin):
    """Serves a `ConfigServer` below its `base_path`, and nothing outside it.

    Handlers of the application outside the base path are not touched, similar names included.
    The server is not closed; whoever made it does that.

    Args:
        server: What to serve, and where.
        auth: The credential that every request must carry. `None` has to be spelled out: the
            application that embeds the plugin then decides who may read.
        hosts: By which names requests may come. `None` leaves that to the application, too.
    """

    def __init__(
        self,
        server: ConfigServer,
        *,
        auth: SharedCredential | None,
        hosts: HostPolicy | None = None,
    ) -> None:
        self._base_path = server.base_path
        self._handler = make_handler(Controller(server, auth=auth, hosts=hosts))

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the one handler that takes every path below the base path."""
        path = self._base_path or "/"
        app_config.route_handlers.append(asgi(path, is_mount=True, copy_scope=False)(self._mounted))
        return app_config

    async def _mounted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is below the base path; Litestar left the rest of the path in the scope."""
        if not self._base_path or scope["path"].startswith("/"):
            await self._handler(scope, receive, send)
        else:
            await dispatch_again(scope, receive, send, mount=self._base_path)
