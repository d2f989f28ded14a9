"""The exit codes of the command."""

from typing import Final

from pyfly.config_cli._errors import ArgumentError, SettingsError
from pyfly.config_core import (
    BackendLookupError,
    ConfigConflictError,
    ConfigError,
    ConfigNotFoundError,
    EncryptionKeyError,
    EncryptionNotInstalledError,
    InvalidConfigKeyError,
    MetricsNotInstalledError,
    WebTokensNotInstalledError,
)

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_CONDITION: Final = 3
EXIT_NOT_FOUND: Final = 4
EXIT_INTERRUPTED: Final = 130

MEANINGS: Final = {
    0: "done",
    EXIT_FAILED: "the store failed, cannot do this, is frozen, or holds what does not parse",
    EXIT_USAGE: "an argument or a setting is wrong",
    EXIT_CONDITION: "the condition does not hold: the store holds other content; or bundles differ",
    EXIT_NOT_FOUND: "there is no such bundle or version",
    EXIT_INTERRUPTED: "interrupted",
}


def exit_code(error: ConfigError) -> int:
    """Return the exit code for an error."""
    match error:
        case ArgumentError() | SettingsError():
            return EXIT_USAGE
        case BackendLookupError() | InvalidConfigKeyError():
            return EXIT_USAGE
        case (
            EncryptionKeyError()
            | EncryptionNotInstalledError()
            | MetricsNotInstalledError()
            | WebTokensNotInstalledError()
        ):
            return EXIT_USAGE
        case ConfigConflictError():
            return EXIT_CONDITION
        case ConfigNotFoundError():
            return EXIT_NOT_FOUND
        case _:
            return EXIT_FAILED
