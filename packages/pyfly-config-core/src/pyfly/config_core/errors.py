"""All errors that this project raises on purpose.

    ConfigError
    ├── ConfigNotFoundError (LookupError)        nothing matches the key
    ├── InvalidConfigKeyError (ValueError)       application, profile or label not acceptable
    ├── ConfigFormatError (ValueError)           stored text or a payload does not parse
    ├── ConfigConflictError                      the condition of a write does not hold
    ├── ConfigObstructedError                    a save would damage a stored file
    ├── ConfigFrozenError                        a freeze covers the bundle
    ├── PatchConflictError                       a patch does not fit what is stored
    │   └── PatchTestError                       its `test` operation fails
    ├── BackendError                             the store failed; __cause__ is the driver's error
    │   ├── BackendUnavailableError              worth retrying
    │   │   └── BackendStaleError                the last known state can still be read
    │   ├── BackendAccessDeniedError             not worth retrying
    │   └── UnsupportedOperationError            the store lacks the ability
    ├── BackendLookupError (LookupError)         raised by open_backend
    │   ├── UnknownBackendError                  no such scheme
    │   ├── BackendNotInstalledError (ImportError)
    │   └── AmbiguousBackendError                two distributions claim the scheme
    ├── EncryptionError                          a text cannot be encrypted or decrypted
    │   ├── CipherError (ValueError)             it was not encrypted with this key
    │   ├── EncryptionKeyError                   a key is missing, unknown or unusable
    │   └── EncryptionNotInstalledError (ImportError)
    ├── MetricsNotInstalledError (ImportError)
    ├── WebTokensNotInstalledError (ImportError)
    └── ConfigClientError                        the client's branch, see pyfly.config_client

Messages name keys, files, lines and limits; never a property value.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from pyfly.config_core._quoting import shown as _shown

__all__ = [
    "AmbiguousBackendError",
    "BackendAccessDeniedError",
    "BackendError",
    "BackendLookupError",
    "BackendNotInstalledError",
    "BackendStaleError",
    "BackendUnavailableError",
    "CipherError",
    "ConfigConflictError",
    "ConfigError",
    "ConfigFormatError",
    "ConfigFrozenError",
    "ConfigNotFoundError",
    "ConfigObstructedError",
    "EncryptionError",
    "EncryptionKeyError",
    "EncryptionNotInstalledError",
    "InvalidConfigKeyError",
    "MetricsNotInstalledError",
    "PatchConflictError",
    "PatchTestError",
    "UnknownBackendError",
    "UnsupportedOperationError",
    "WebTokensNotInstalledError",
]


class ConfigError(Exception):
    """The base of all errors that this project raises on purpose.

    Copies and pickles keep the type, the message and every field, whatever arguments the
    constructor of the class takes.
    """

    def __reduce__(self) -> tuple[object, ...]:
        """Return a recipe for the same error that does not call its constructor."""
        fields = vars(self)
        if isinstance(self, ImportError):  # its message is in the slot `msg`
            fields = fields | {"msg": self.msg}
        return _same_error, (type(self), self.args, fields)


def _same_error(
    kind: type[ConfigError], args: tuple[object, ...], fields: dict[str, object]
) -> ConfigError:
    """Return an error with this content. Pickles of errors call this function."""
    error = kind.__new__(kind)
    error.args = args
    for name, value in fields.items():
        setattr(error, name, value)
    return error


class ConfigNotFoundError(ConfigError, LookupError):
    """Nothing is stored under the requested name."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"{what} {_shown(name)} does not exist")
        self.what = what
        """The kind of thing: `label`, `bundle`, `version`, `resource`."""
        self.name = name
        """The name as requested."""


class InvalidConfigKeyError(ConfigError, ValueError):
    """A name in a request is not acceptable: an application, profile, label, path or key."""

    def __init__(self, field: str, value: str, reason: str) -> None:
        super().__init__(f"{field} {_shown(value)} is not acceptable: {reason}")
        self.field = field
        """The kind of name: `application`, `profile`, `label`, `path` or `keys`; `request` if all
        names together ask for too much."""
        self.value = value
        """The refused text."""
        self.reason = reason
        """The rule that the text breaks."""


class ConfigFormatError(ConfigError, ValueError):
    """A stored text or a payload does not parse. The message says where and shows no value."""

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
        """The file or document, relative to the store; `None` if it is not known."""
        self.line = line
        """Counted from 1; `None` if the text has no lines."""
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
    """The stored version is not the one that a conditional write expects."""

    def __init__(self, name: str, current: str | None) -> None:
        state = "does not exist" if current is None else f"is at version {current!r}"
        super().__init__(f"{name} {state}: read it again and repeat the change")
        self.name = name
        """The name of the bundle."""
        self.current = current
        """The stored version; `None` if nothing is stored."""


class ConfigObstructedError(ConfigError):
    """A save would damage a stored file; nothing was written."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} is in the way: {reason}; change the file by hand or move it away")
        self.name = name
        """The file, relative to the store."""
        self.reason = reason
        """The reason why a save must not change the file."""


class ConfigFrozenError(ConfigError):
    """Writing is switched off by a freeze that covers the bundle; nothing was written."""

    def __init__(self, name: str, *, freeze: str, reason: str, until: datetime | None) -> None:
        self.name = name
        """The name of the bundle."""
        self.freeze = freeze
        """The id of the freeze."""
        self.reason = reason
        """Why writing is switched off, as the one who did it has said."""
        self.until = until
        """The end of the freeze, in UTC; `None` if it lasts until somebody removes it."""
        end = "" if self.ends is None else f" until {self.ends}"
        super().__init__(f"{name} is frozen{end}: {reason}; nothing was written")

    @property
    def ends(self) -> str | None:
        """The end as a text, such as `2026-11-28T08:00:00Z`; `None` if there is none."""
        if self.until is None:
            return None
        return self.until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class PatchConflictError(ConfigError):
    """A patch does not fit what is stored: a value that it needs is not there."""

    def __init__(self, operation: str, pointer: str, reason: str) -> None:
        super().__init__(f"{operation}: {_shown(pointer)}: {reason}; read the bundle again")
        self.operation = operation
        """The number and the name of the operation."""
        self.pointer = pointer
        """The JSON pointer (RFC 6901) of the value."""
        self.reason = reason
        """The difference, without values."""


class PatchTestError(PatchConflictError):
    """A `test` operation of a patch found another value."""


class BackendError(ConfigError):
    """A store failed; `__cause__` is the error of its driver."""


class BackendUnavailableError(BackendError):
    """The store could not be reached or could not finish; a later try may succeed.

    After a write the outcome is unknown unless the message says otherwise.
    """


class BackendStaleError(BackendUnavailableError):
    """A store cannot learn what has changed, and serves the last state that it knows.

    `changes_since` raises it. Reads go on, and their answers are marked as stale.
    """

    def __init__(self, reason: str, *, age: float) -> None:
        super().__init__(reason)
        self.age = age
        """Seconds since the state was known to be current."""


class BackendAccessDeniedError(BackendError):
    """The store refuses this access; trying again does not help."""


class UnsupportedOperationError(BackendError):
    """The store does not support the operation."""

    def __init__(self, backend: str, ability: str) -> None:
        super().__init__(f"{backend} does not support {ability}")
        self.backend = backend
        """The store's name."""
        self.ability = ability
        """The missing ability in words: `history`, `conditional saves`."""


class BackendLookupError(ConfigError, LookupError):
    """No backend could be opened for a URL."""


class UnknownBackendError(BackendLookupError):
    """No installed distribution serves the scheme."""

    def __init__(self, scheme: str, installed: Sequence[str], *, near: str | None = None) -> None:
        listed = ", ".join(f"{name}:" for name in installed) or "none"
        question = "" if near is None else f"did you mean '{near}:'? "
        if scheme in {"http", "https"}:
            question += (
                "if this is the address of a running server, name the store behind it, or read "
                "and write with its routes /_bundles, for example with curl; "
            )
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
    """A text cannot be encrypted or decrypted. The message shows neither text nor key."""


class CipherError(EncryptionError, ValueError):
    """A text was not encrypted with this key, or was changed afterwards."""

    def __init__(self, message: str = "the text was not encrypted with this key") -> None:
        super().__init__(message)


class EncryptionKeyError(EncryptionError):
    """A key is missing, unknown, or cannot be used for this."""


class EncryptionNotInstalledError(EncryptionError, ImportError):
    """The libraries for encryption are not installed."""

    def __init__(self) -> None:
        super().__init__(
            f"encryption is not installed; install it with: pip install '{self.requirement}'"
        )

    requirement = "pyfly-config-core[encryption]"
    """What to install."""


class MetricsNotInstalledError(ConfigError, ImportError):
    """The library for metrics is not installed."""

    def __init__(self) -> None:
        super().__init__(
            f"metrics are not installed; install them with: pip install '{self.requirement}'"
        )

    requirement = "pyfly-config-core[metrics]"
    """What to install."""


class WebTokensNotInstalledError(ConfigError, ImportError):
    """The library for JSON Web Tokens is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "JSON Web Tokens, which the access file names issuers of, need a library; install it "
            f"with: pip install '{self.requirement}'"
        )

    requirement = "pyfly-config-core[oidc]"
    """What to install."""
