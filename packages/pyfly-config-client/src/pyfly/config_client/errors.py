"""The errors of the client.

    ConfigClientError
    ├── ServerUnreachableError           no response: refused, timed out, cut off
    ├── ServerRejectedError              a response with another status than 200
    ├── InvalidPayloadError              a response that is not the requested configuration
    │   └── StaleResponseError           a response that may be older than the configuration in use
    ├── SnapshotError                    no snapshot or baseline can be used
    ├── MissingPropertyError (KeyError)  a requested property does not exist
    ├── PropertyTypeError (ValueError)   a property cannot be converted or resolved
    └── UnsupportedTypeError (TypeError) there is no conversion to the requested type

No message shows a credential or a value.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

from pyfly.config_core import ConfigError

__all__ = [
    "ConfigClientError",
    "InvalidPayloadError",
    "MissingPropertyError",
    "PropertyTypeError",
    "ServerRejectedError",
    "ServerUnreachableError",
    "SnapshotError",
    "StaleResponseError",
    "UnsupportedTypeError",
]

_MAX_LENGTH: Final = 200


class ConfigClientError(ConfigError):
    """The base of all errors of this package. `fetch` raises it if there is no configuration."""

    tried: Sequence[str] = ()
    """What else was tried, in order."""
    retry_after: float = 0.0
    """Seconds that the server asked to wait."""

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"- tried {line}" for line in self.tried)])


class ServerUnreachableError(ConfigClientError):
    """The server did not send a whole response in time.

    `__cause__` is the error of the operating system, of TLS or of the HTTP library, without its
    own causes.
    """

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent
        """True if a later attempt cannot help, as with a certificate that is not trusted."""


class ServerRejectedError(ConfigClientError):
    """The server sent a response with another status than 200."""

    def __init__(self, url: str, status: int, advice: str, problem: object = None) -> None:
        super().__init__(f"{url} answered {status}: {advice}")
        self.url = url
        """Without credentials."""
        self.status = status
        """The HTTP status code."""
        self.problem = problem
        """The JSON error document, if the server sent one."""


class InvalidPayloadError(ConfigClientError, ValueError):
    """The response is not the configuration that was requested, is not complete, or is rejected."""

    url: str | None = None
    """Where the configuration is from that `validate` or the check of its size has rejected;
    `None` if the response itself cannot be used."""
    etag: str | None = None
    """Its entity tag, if the server sends one."""


class StaleResponseError(InvalidPayloadError):
    """The server cannot read its store, and its last good configuration is not the one in use.

    It may be older, so the configuration in use stays.
    """


class SnapshotError(ConfigClientError):
    """Neither a snapshot nor a baseline can be used."""


class MissingPropertyError(ConfigClientError, KeyError):
    """There is no such property, or it is empty and a type other than text was requested."""

    def __init__(self, key: str, close: str | None = None, *, is_empty: bool = False) -> None:
        hint = f"; did you mean {close!r}?" if close else ""
        super().__init__(
            f"the property {key!r} is empty" if is_empty else f"there is no property {key!r}{hint}"
        )
        self.key = key
        """As requested."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would quote the whole sentence


class PropertyTypeError(ConfigClientError, ValueError):
    """A property cannot be converted to the requested type, or cannot be resolved."""


class UnsupportedTypeError(ConfigClientError, TypeError):
    """There is no conversion from properties to the requested type."""


FailureClass: TypeAlias = Literal["no-label", "rejected", "temporary", "invalid", "permanent"]
FAILURES_BY_IMPORTANCE: Final[tuple[FailureClass, ...]] = (
    "no-label",
    "rejected",
    "temporary",
    "invalid",
    "permanent",
)
"""Which failure of a round counts, if its servers failed in different ways."""
_TEMPORARY_STATUSES: Final = {408, 425, 429}
_NOT_FOUND: Final = 404
_CLIENT_ERRORS: Final = 400
_SERVER_ERRORS: Final = 500


def classify_failure(error: ConfigClientError) -> FailureClass:
    """Return what a failure means for the fetch.

    Returns:
        `no-label`: the label does not exist; the next one may. `rejected`: the server rejects the
        request and will do so again. `temporary`: a later attempt may succeed. `invalid`: there
        was a response that cannot be used. `permanent`: there is no configuration server at this
        address, and a later attempt does not help.
    """
    if isinstance(error, ServerUnreachableError):
        return "permanent" if error.permanent else "temporary"
    if not isinstance(error, ServerRejectedError):
        return "invalid"
    if error.status == _NOT_FOUND:
        return "no-label"
    if error.status >= _SERVER_ERRORS or error.status in _TEMPORARY_STATUSES:
        return "temporary"
    return "rejected" if error.status >= _CLIENT_ERRORS else "permanent"


def late_response(url: str, seconds: float) -> ServerUnreachableError:
    """Return the error for a response that did not arrive within a number of seconds."""
    rounded = math.ceil(10 * seconds) / 10  # a little of the timeout is spent already
    return ServerUnreachableError(f"{url}: no whole response within {rounded:.2g} s")


def printable(text: str, most: int = _MAX_LENGTH) -> str:
    """Return a text from outside for a message: short, on one line, unprintables escaped."""
    short = text if len(text) <= most else text[:most] + "…"
    if short.isprintable():
        return short
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in short)


def closest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is spelled most similarly; `None` if no choice is similar."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error message

    found = get_close_matches(word, list(choices), 1)
    return found[0] if found else None
