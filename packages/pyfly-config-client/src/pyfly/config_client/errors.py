"""The client's branch of the error tree.

    ConfigClientError
    ├── ServerUnreachableError           no answer: refused, timed out, cut off
    ├── ServerRejectedError              an answer with another status than 200
    ├── InvalidPayloadError              an answer that is not the configuration asked for
    ├── SnapshotError                    no stored configuration that can be used
    ├── MissingPropertyError (KeyError)  a property that was asked for does not exist
    ├── PropertyTypeError (ValueError)   a property does not hold what was asked for
    └── UnsupportedTypeError (TypeError) there is no conversion to the type that was asked for

No message shows a credential or a value.
"""

from collections.abc import Sequence

from pyfly.config_core import ConfigError

__all__ = [
    "ConfigClientError",
    "InvalidPayloadError",
    "MissingPropertyError",
    "PropertyTypeError",
    "ServerRejectedError",
    "ServerUnreachableError",
    "SnapshotError",
    "UnsupportedTypeError",
]


class ConfigClientError(ConfigError):
    """Something this package raises; `fetch` raises it when no configuration can be had."""

    tried: Sequence[str] = ()
    """What else was tried, in order."""
    retry_after: float = 0.0
    """Seconds that the server asked to wait."""

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"- tried {line}" for line in self.tried)])


class ServerUnreachableError(ConfigClientError):
    """The server did not give a whole answer in time.

    `__cause__` is the error of the operating system, of TLS or of the HTTP library, alone.
    """

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent
        """True if asking again cannot help, as with a certificate that is not trusted."""


class ServerRejectedError(ConfigClientError):
    """The server answered with a status that is no configuration."""

    def __init__(self, url: str, status: int, advice: str, problem: object = None) -> None:
        super().__init__(f"{url} answered {status}: {advice}")
        self.url = url
        """Without credentials."""
        self.status = status
        """The HTTP status code."""
        self.problem = problem
        """The JSON error document, where the server sent one."""


class InvalidPayloadError(ConfigClientError, ValueError):
    """The answer is not the configuration that was asked for, or did not arrive whole."""


class SnapshotError(ConfigClientError):
    """Neither a snapshot nor a baseline holds configuration that can be used."""


class MissingPropertyError(ConfigClientError, KeyError):
    """There is no such property, or it is empty where something else than a text is wanted."""

    def __init__(self, key: str, close: Sequence[str] = (), *, is_empty: bool = False) -> None:
        hint = f"; did you mean {close[0]!r}?" if close else ""
        super().__init__(
            f"the property {key!r} is empty" if is_empty else f"there is no property {key!r}{hint}"
        )
        self.key = key
        """As asked for."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would quote the whole sentence


class PropertyTypeError(ConfigClientError, ValueError):
    """What a property holds cannot be turned into the type that was asked for, or resolved."""


class UnsupportedTypeError(ConfigClientError, TypeError):
    """There is no conversion from properties to the type that was asked for."""
