"""The filesystem backend: contained file access, bundles, the backend itself."""

from pyfly.config_server.stores.filesystem.backend import FilesystemConfigBackend

__all__ = ["FilesystemConfigBackend"]
