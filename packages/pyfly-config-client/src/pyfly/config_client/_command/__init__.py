"""The command `pyfly-config-client`: for shells, containers and people."""

from pyfly.config_client._command._main import main

__all__ = ["main"]
