"""Nothing of boto3's leaves the seam, and no text of the store's is repeated."""

import inspect

import pytest
from botocore import exceptions

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigError,
    UnsupportedOperationError,
)
from pyfly.config_s3._client import translate
from pyfly.config_s3._failures import (
    ConditionFailedError,
    DamagedError,
    condition_error,
    refusal,
    says_absent,
)

FOREIGN = [
    kind
    for _, kind in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(kind, Exception) and not issubclass(kind, Warning)
]


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_every_exception_of_botocore_has_a_meaning(kind: type[Exception]) -> None:
    error = translate(kind.__new__(kind), "read 'main/orders-prod.yaml'")
    assert isinstance(error, ConfigError | DamagedError)
    assert kind.__name__ in str(error)


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [
        (exceptions.ConnectTimeoutError, BackendUnavailableError),
        (exceptions.EndpointConnectionError, BackendUnavailableError),
        (exceptions.ReadTimeoutError, BackendUnavailableError),
        (exceptions.SSLError, BackendUnavailableError),
        (exceptions.NoCredentialsError, BackendAccessDeniedError),
        (exceptions.UnauthorizedSSOTokenError, BackendAccessDeniedError),
        (exceptions.IncompleteReadError, DamagedError),
        (exceptions.FlexibleChecksumError, DamagedError),
        (exceptions.ParamValidationError, BackendError),
        (OSError, BackendUnavailableError),
        (ValueError, BackendUnavailableError),
    ],
)
def test_what_is_worth_another_try_is_told_apart(
    kind: type[Exception], meaning: type[Exception]
) -> None:
    assert type(translate(kind.__new__(kind), "read it")) is meaning


@pytest.mark.parametrize(
    ("code", "status", "meaning"),
    [
        ("SlowDown", 503, BackendUnavailableError),
        ("503", 503, BackendUnavailableError),
        ("OperationAborted", 409, BackendUnavailableError),
        ("TooManyRequests", 429, BackendUnavailableError),
        ("NoSuchBucket", 404, BackendUnavailableError),
        ("", 403, BackendAccessDeniedError),
        ("ExpiredToken", 400, BackendAccessDeniedError),
        ("PermanentRedirect", 301, BackendAccessDeniedError),
        ("404", 404, BackendError),
        ("InvalidRequest", 400, BackendError),
    ],
)
def test_a_code_of_the_store_has_a_meaning(code: str, status: int, meaning: type) -> None:
    error = refusal("read it", code, status)
    assert type(error) is meaning
    assert f"HTTP {status}" in str(error)


def test_only_the_store_itself_says_that_an_object_is_not_there() -> None:
    assert says_absent("NoSuchKey")
    assert not says_absent("404")
    assert not says_absent("NoSuchBucket")


@pytest.mark.parametrize(
    ("code", "status", "meaning"),
    [
        ("PreconditionFailed", 412, ConditionFailedError),
        ("412", 412, ConditionFailedError),
        ("ConditionalRequestConflict", 409, ConditionFailedError),
        ("NoSuchKey", 404, ConditionFailedError),
        ("NotImplemented", 501, UnsupportedOperationError),
        ("SlowDown", 503, type(None)),
    ],
)
def test_what_is_said_about_a_condition(code: str, status: int, meaning: type) -> None:
    assert type(condition_error(code, status, conditional=True)) is meaning
    assert condition_error(code, status, conditional=False) is None
