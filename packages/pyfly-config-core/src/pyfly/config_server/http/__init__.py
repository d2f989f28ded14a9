"""HTTP without a framework: requests and responses as values, endpoints, and an ASGI application.

Import `Controller`, `ConfigServerApp` and their values from `pyfly.config_server`. The public
modules are `asgi`, `authentication`, `errors` and `messages`.
"""
