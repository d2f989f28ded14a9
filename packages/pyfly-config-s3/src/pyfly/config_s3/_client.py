"""Making clients of boto3, and translating the errors of boto3.

Every error becomes one of `pyfly.config_core.errors`, or one of the two of `_failures`. No message
shows a value, a credential or an address.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendLookupError,
    BackendUnavailableError,
    ConfigError,
)
from pyfly.config_s3._failures import (
    ConditionFailedError,
    DamagedError,
    condition_error,
    refusal,
)

CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 2.0
ATTEMPTS: Final = 3

_DAMAGED: Final = (
    boto.ChecksumError,
    boto.FlexibleChecksumError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
)
_DENIED: Final = (
    boto.CredentialRetrievalError,
    boto.LoginError,
    boto.NoAuthTokenError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.ProfileNotFound,
    boto.RefreshWithMFAUnsupportedError,
    boto.SSOError,
    boto.TokenRetrievalError,
    boto.UnknownCredentialError,
)
_NETWORK: Final = (boto.ConnectionError, boto.HTTPClientError, boto.MetadataRetrievalError)

# boto3 makes its clients at run time: type checkers do not know their methods.
S3Client: TypeAlias = Any
_BOTO3: Final[Any] = boto3


def make_client(*, region: str | None, endpoint_url: str | None, connections: int) -> S3Client:
    """Return a client. The chain of boto3 finds its credentials when they are first needed.

    Raises:
        BackendLookupError: The region, the address or a setting of boto3 is not acceptable.
    """
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        max_pool_connections=connections,
        # Stores beside Amazon's rarely have a host name for each bucket.
        s3={"addressing_style": "path"} if endpoint_url else {},
    )
    try:
        return _BOTO3.client("s3", region_name=region, endpoint_url=endpoint_url, config=config)
    except (BotoCoreError, ValueError) as error:
        raise BackendLookupError(
            f"boto3 does not make a client of these settings: {type(error).__name__}"
        ) from error


@contextmanager
def translated(what: str, deadline: float, *, conditional: bool = False) -> Generator[None]:
    """Convert every error of boto3 to an error that names the failed operation.

    Args:
        what: The operation in the block, for messages.
        deadline: A time of the monotonic clock. After it the block does not run.
        conditional: True if the request has a condition.
    """
    check_time(deadline)
    try:
        yield
    except (ConfigError, ConditionFailedError, DamagedError):
        raise
    except ClientError as error:
        code, status = error_code(error), http_status(error)
        raise condition_error(code, status, conditional=conditional) or refusal(
            what, code, status
        ) from error
    except Exception as error:  # no error of boto3 leaves the package
        raise translate(error, what) from error


def translate(error: Exception, what: str) -> Exception:
    """Return the error for a failure without a response of the store.

    Errors of botocore that are not network failures are mistakes in settings. Errors of other
    libraries, such as a parser, are about a malformed response.
    """
    reason = f"cannot {what}: {type(error).__name__}"
    if isinstance(error, _DAMAGED):
        return DamagedError(type(error).__name__)
    if isinstance(error, _DENIED):
        return BackendAccessDeniedError(f"{reason}; boto3 finds no usable credentials")
    if isinstance(error, BotoCoreError) and not isinstance(error, _NETWORK):
        return BackendError(reason)
    return BackendUnavailableError(reason)


def check_time(deadline: float) -> None:
    """Raise if a deadline has passed.

    Raises:
        BackendUnavailableError: The deadline has passed.
    """
    if time.monotonic() > deadline:
        raise BackendUnavailableError("the store did not answer in time")


def error_code(error: ClientError) -> str:
    """Return the error code of the store; empty without one."""
    return str(error.response.get("Error", {}).get("Code", ""))


def http_status(error: ClientError) -> int:
    """Return the HTTP status of an error; 0 without one."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
