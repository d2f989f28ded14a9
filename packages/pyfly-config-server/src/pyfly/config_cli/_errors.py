"""Errors of the command itself. Both end it with exit code 2."""

from pyfly.config_core import ConfigError

__all__ = ["ArgumentError", "SettingsError"]


class ArgumentError(ConfigError, ValueError):
    """An argument of the command cannot be used; the message says which and what to do."""


class SettingsError(ConfigError, ValueError):
    """A setting of the server cannot be used; the message says which, where it stands and why."""
