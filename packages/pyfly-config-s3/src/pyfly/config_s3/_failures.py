"""From the error codes of S3 to the errors of `pyfly.config_core.errors`.

Pure functions; the module that uses boto3 passes the codes.
"""

from collections.abc import Mapping
from typing import Final

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    UnsupportedOperationError,
)

_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchVersion"})
_CONDITION_FAILED: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_CONDITION_REFUSED: Final = frozenset({"NotImplemented", "501"})
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AllAccessDisabled",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "PermanentRedirect",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
_HINTS: Final = {
    "AuthorizationHeaderMalformed": "the bucket is in another region; name it with ?region=",
    "ExpiredToken": "the credentials have expired",
    "NoSuchBucket": "there is no such bucket",
    "PermanentRedirect": "the bucket is in another region; name it with ?region=",
    "RequestTimeTooSkewed": "this machine's clock differs from the store's",
    "SlowDown": "the store limits the rate of requests",
    "TokenRefreshRequired": "the credentials have expired",
}
_REMOVED: Final = frozenset({404, 405})
_NO_VERSION: Final = frozenset({400, 404})
_SERVER_ERROR: Final = 500
_TRY_AGAIN: Final = frozenset({408, 409, 425, 429})


class ConditionFailedError(Exception):
    """The condition of a write does not hold, or there was a concurrent write."""


class DamagedError(Exception):
    """A response arrived incomplete or changed."""


def says_absent(code: str) -> bool:
    """True if there is no such object. A bare 404 is not enough: proxies answer it, too."""
    return code in _ABSENT


def says_removed(status: int, headers: Mapping[str, str]) -> bool:
    """True if a version is a delete marker. Such a response has no code.

    Args:
        status: The HTTP status.
        headers: Their names in lower case.
    """
    return status in _REMOVED and headers.get("x-amz-delete-marker") == "true"


def says_no_version(status: int) -> bool:
    """True if there is no such version, or if the text is not a version id (400)."""
    return status in _NO_VERSION


def condition_error(code: str, status: int, *, conditional: bool) -> Exception | None:
    """Return the error about the condition of a write, `None` if it is about something else."""
    if not conditional:
        return None
    if code in _CONDITION_FAILED or code == "NoSuchKey" or status == 412:  # noqa: PLR2004 - HTTP's
        return ConditionFailedError(code)
    if code in _CONDITION_REFUSED:
        return UnsupportedOperationError("the store of this bucket", "writes with a condition")
    return None


def refusal(what: str, code: str, status: int) -> BackendError:
    """Return the error for an unsuccessful response.

    Args:
        what: The failed operation.
        code: The code of S3. It is often just the status if a proxy responded.
        status: The HTTP status.
    """
    said = f"{code} (HTTP {status})" if code and code != str(status) else f"HTTP {status}"
    hint = f": {_HINTS[code]}" if code in _HINTS else ""
    message = f"cannot {what}: the store says {said}{hint}"
    if code in _DENIED or status in {401, 403}:
        return BackendAccessDeniedError(message)
    if code == "NoSuchBucket" or status >= _SERVER_ERROR or status in _TRY_AGAIN:
        return BackendUnavailableError(message)
    return BackendError(message)
