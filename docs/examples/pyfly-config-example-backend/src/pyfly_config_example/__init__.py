"""A store of configuration by another author: every bundle in one file.

Found by `pyfly.config_server.open_backend` under URLs such as `example:///var/lib/example`.
"""

from pyfly_config_example._backend import ExampleConfigBackend

__all__ = ["ExampleConfigBackend"]
