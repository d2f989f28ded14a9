"""Errors of HTTP requests, and the conversion of the project's errors to HTTP."""

import random
from typing import Final

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigConflictError,
    ConfigError,
    ConfigFormatError,
    ConfigFrozenError,
    ConfigNotFoundError,
    ConfigObstructedError,
    EncryptionError,
    EncryptionKeyError,
    InvalidConfigKeyError,
    JsonValue,
    PatchConflictError,
    PatchTestError,
    UnsupportedOperationError,
)
from pyfly.config_server.composition.rendering import UnrenderableError
from pyfly.config_server.http.messages import Headers

__all__ = ["HttpError", "error_members", "http_error"]

_TABLE: Final[dict[type[BaseException], tuple[int, str]]] = {
    InvalidConfigKeyError: (400, "invalid-name"),
    ConfigNotFoundError: (404, "not-found"),
    ConfigFrozenError: (403, "frozen"),
    ConfigObstructedError: (409, "obstructed"),
    ConfigConflictError: (412, "version-conflict"),
    PatchTestError: (409, "patch-test-failed"),
    PatchConflictError: (409, "patch-conflict"),
    UnrenderableError: (400, "not-renderable"),
    ConfigFormatError: (500, "broken-bundle"),
    EncryptionKeyError: (400, "no-such-key"),
    EncryptionError: (500, "encryption-failed"),
    UnsupportedOperationError: (501, "unsupported"),
    BackendUnavailableError: (503, "store-unavailable"),
    BackendAccessDeniedError: (500, "store-denied"),
    BackendError: (500, "store-failed"),
    ConfigError: (500, "failed"),
}
_RETRY_SECONDS: Final = (2, 8)


class HttpError(Exception):
    """Ends a request with an error response.

    Args:
        status: The HTTP status code.
        code: The kind of error: a stable word for programs.
        message: The problem and the remedy, without values, paths of the server or a stack.
        headers: Further headers of the response.
    """

    def __init__(self, status: int, code: str, message: str = "", *, headers: Headers = ()) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def __str__(self) -> str:
        return self.message


def http_error(error: ConfigError) -> HttpError:
    """Return the HTTP error for an error of the project."""
    status, code = next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
    headers: Headers = ()
    if isinstance(error, BackendUnavailableError):
        wait = random.randint(*_RETRY_SECONDS)  # noqa: S311 - spreads clients, hides nothing
        headers = ((b"retry-after", b"%d" % wait),)
    return HttpError(status, code, str(error), headers=headers)


def error_members(error: ConfigError) -> dict[str, JsonValue]:
    """Return the further members of a problem document."""
    match error:
        case ConfigConflictError():
            return {"current": error.current}
        case ConfigFrozenError():
            return {"freeze": error.freeze, "reason": error.reason, "until": error.ends}
        case _:
            return {}
