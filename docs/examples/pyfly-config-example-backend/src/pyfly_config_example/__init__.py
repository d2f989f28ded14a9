"""A store of configuration by somebody else: every bundle in one file.

Found by `pyfly.config_server.open_backend` under URLs such as `example:///var/lib/example`.
"""

from pyfly_config_example._backend import ExampleConfigBackend

__all__ = ["ExampleConfigBackend"]
