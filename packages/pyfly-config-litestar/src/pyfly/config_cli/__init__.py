"""The `pyfly-config` command."""

from pyfly.config_cli._main import main

__all__ = ["main"]
