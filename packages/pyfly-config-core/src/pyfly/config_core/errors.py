"""Every error this project raises on purpose.

    ConfigError
    ├── ConfigNotFoundError (LookupError)        nothing matches the key
    ├── InvalidConfigKeyError (ValueError)       application, profile or label not acceptable
    ├── ConfigFormatError (ValueError)           stored text or a payload does not parse
    ├── ConfigConflictError                      a conditional write lost
    ├── ConfigObstructedError                    a stored file that a save must not touch
    ├── BackendError                             the store failed; __cause__ is the driver's error
    │   ├── BackendUnavailableError              worth retrying
    │   ├── BackendAccessDeniedError             not worth retrying
    │   └── UnsupportedOperationError            the ability is not offered
    ├── BackendLookupError (LookupError)         raised by open_backend
    │   ├── UnknownBackendError                  no such scheme
    │   ├── BackendNotInstalledError (ImportError)
    │   └── AmbiguousBackendError                two distributions claim the scheme
    ├── EncryptionError                          a text cannot be encrypted or decrypted
    │   ├── CipherError (ValueError)             it was not encrypted with this key
    │   ├── EncryptionKeyError                   a key is missing, unknown or unusable
    │   └── EncryptionNotInstalledError (ImportError)
    └── ConfigClientError                        the client's branch, see pyfly.config_client

Messages name keys, files, lines and limits; never a property value.
"""

from collections.abc import Sequence

from pyfly.config_core._quoting import shown as _shown

__all__ = [
    "AmbiguousBackendError",
    "BackendAccessDeniedError",
    "BackendError",
    "BackendLookupError",
    "BackendNotInstalledError",
    "BackendUnavailableError",
    "CipherError",
    "ConfigConflictError",
    "ConfigError",
    "ConfigFormatError",
    "ConfigNotFoundError",
    "ConfigObstructedError",
    "EncryptionError",
    "EncryptionKeyError",
    "EncryptionNotInstalledError",
    "InvalidConfigKeyError",
    "UnknownBackendError",
    "UnsupportedOperationError",
]


class ConfigError(Exception):
    """The base of all errors that this project raises on purpose.

    Copies and pickles keep the type, the message and every field, also of classes whose
    constructor takes something else than a message.
    """

    def __reduce__(self) -> tuple[object, ...]:
        """Return what makes the same error again, without calling its constructor."""
        fields = vars(self)
        if isinstance(self, ImportError):  # it keeps its message in a slot of its own
            fields = fields | {"msg": self.msg}
        return _same_error, (type(self), self.args, fields)


def _same_error(
    kind: type[ConfigError], args: tuple[object, ...], fields: dict[str, object]
) -> ConfigError:
    """Return an error with this content; what a pickle of an error calls."""
    error = kind.__new__(kind)
    error.args = args
    for name, value in fields.items():
        setattr(error, name, value)
    return error


class ConfigNotFoundError(ConfigError, LookupError):
    """Nothing is stored under the name that was asked for."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"{what} {_shown(name)} does not exist")
        self.what = what
        """The kind of thing: `label`, `bundle`, `version`, `resource`."""
        self.name = name
        """Its name as asked for."""


class InvalidConfigKeyError(ConfigError, ValueError):
    """An application, profile, label or path is not acceptable."""

    def __init__(self, field: str, value: str, reason: str) -> None:
        super().__init__(f"{field} {_shown(value)} is not acceptable: {reason}")
        self.field = field
        """Which part of the key: `application`, `profile`, `label` or `path`; `request` when all of
        them together ask for too much."""
        self.value = value
        """The text that was refused."""
        self.reason = reason
        """What the rule asks for."""


class ConfigFormatError(ConfigError, ValueError):
    """A stored text or a payload is not what it should be. Says where, never shows a value."""

    def __init__(
        self,
        reason: str,
        *,
        where: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(reason, where, line, column)
        self.reason = reason
        """What is wrong."""
        self.where = where
        """File or document, relative to the store; `None` while it is not known."""
        self.line = line
        """Counted from 1; `None` where a text has no lines."""
        self.column = column
        """Counted from 1."""

    def __str__(self) -> str:
        place = self.where or ""
        if self.line is not None:
            place += f"{', ' if place else ''}line {self.line}"
            if self.column is not None:
                place += f", column {self.column}"
        return f"{place}: {self.reason}" if place else self.reason

    def at(self, where: str) -> "ConfigFormatError":
        """Return the same error with the file named."""
        return ConfigFormatError(self.reason, where=where, line=self.line, column=self.column)


class ConfigConflictError(ConfigError):
    """A conditional write found another version than the one it expected."""

    def __init__(self, name: str, current: str | None) -> None:
        state = "does not exist" if current is None else f"is at version {current!r}"
        super().__init__(f"{name} {state}: read it again and repeat the change")
        self.name = name
        """What was to be written."""
        self.current = current
        """The version stored now; `None` when nothing is stored."""


class ConfigObstructedError(ConfigError):
    """A stored file that a save would have to damage is in the way; nothing was written."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} is in the way: {reason}; change the file by hand or move it away")
        self.name = name
        """The file, relative to the store."""
        self.reason = reason
        """Why a save must not touch it."""


class BackendError(ConfigError):
    """A store failed; `__cause__` holds its own error."""


class BackendUnavailableError(BackendError):
    """The store could not be reached or could not finish; a later try may succeed.

    After a write the outcome is unknown unless the message says otherwise.
    """


class BackendAccessDeniedError(BackendError):
    """The store refuses this access; trying again does not help."""


class UnsupportedOperationError(BackendError):
    """The store does not offer what was asked for."""

    def __init__(self, backend: str, ability: str) -> None:
        super().__init__(f"{backend} does not support {ability}")
        self.backend = backend
        """The store's name."""
        self.ability = ability
        """What it lacks, in words: `history`, `conditional saves`."""


class BackendLookupError(ConfigError, LookupError):
    """No backend could be opened for a URL."""


class UnknownBackendError(BackendLookupError):
    """No installed distribution serves the scheme."""

    def __init__(self, scheme: str, installed: Sequence[str], *, near: str | None = None) -> None:
        listed = ", ".join(f"{name}:" for name in installed) or "none"
        question = "" if near is None else f"did you mean '{near}:'? "
        super().__init__(
            f"no backend for {_shown(scheme + ':')}; {question}installed are: {listed}"
        )
        self.scheme = scheme
        """The scheme of the URL."""
        self.installed = tuple(installed)
        """The schemes that can be opened, sorted."""


class BackendNotInstalledError(BackendLookupError, ImportError):
    """The scheme is known, but the distribution that serves it is not installed."""

    def __init__(self, scheme: str, requirement: str) -> None:
        super().__init__(
            f"the backend for '{scheme}:' is not installed; install it with: "
            f"pip install '{requirement}'"
        )
        self.scheme = scheme
        """The scheme of the URL."""
        self.requirement = requirement
        """What to install."""


class AmbiguousBackendError(BackendLookupError):
    """More than one installed distribution claims the scheme."""

    def __init__(self, scheme: str, distributions: Sequence[str]) -> None:
        super().__init__(
            f"'{scheme}:' is claimed by {', '.join(distributions)}; uninstall all but one"
        )
        self.scheme = scheme
        """The scheme of the URL."""
        self.distributions = tuple(distributions)
        """The names of the distributions, sorted."""


class EncryptionError(ConfigError):
    """A text cannot be encrypted or decrypted. Neither text nor key is shown."""


class CipherError(EncryptionError, ValueError):
    """A text was not encrypted with this key, or was changed since."""

    def __init__(self) -> None:
        super().__init__("the text was not encrypted with this key")


class EncryptionKeyError(EncryptionError):
    """A key is missing, unknown, or cannot be used for this."""


class EncryptionNotInstalledError(EncryptionError, ImportError):
    """The libraries that encrypt are not installed."""

    def __init__(self) -> None:
        super().__init__(
            f"encryption is not installed; install it with: pip install '{self.requirement}'"
        )

    requirement = "pyfly-config-core[encryption]"
    """What to install."""
