"""Serves pyfly-config over HTTP with Litestar: a plugin and a ready-made application."""

from pyfly.config_litestar._app import ReadyApp, create_app, create_asgi_app
from pyfly.config_litestar._plugin import ConfigServerPlugin

__all__ = ["ConfigServerPlugin", "ReadyApp", "create_app", "create_asgi_app"]
