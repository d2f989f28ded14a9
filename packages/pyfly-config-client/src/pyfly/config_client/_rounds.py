"""One round of requests: every server is asked once, in order, and what a failure means."""

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal, TypeAlias

from pyfly.config_client._acceptance import (
    Job,
    Loaded,
    accept,
    check_not_behind,
    stale_seconds,
    validate,
    waited,
)
from pyfly.config_client._exchange import HttpResponse
from pyfly.config_client._requests import ConfigRequest
from pyfly.config_client._steps import Compute, NoteFailure, Plan, SendRequest
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerRejectedError,
    ServerUnreachableError,
)

FailureClass: TypeAlias = Literal["no-label", "rejected", "temporary", "invalid", "permanent"]
_BY_IMPORTANCE: Final[tuple[FailureClass, ...]] = (
    "no-label",
    "rejected",
    "temporary",
    "invalid",
    "permanent",
)
"""Which failure of a round counts, if its servers failed in different ways."""
_TEMPORARY_STATUSES: Final = {408, 425, 429}
_NOT_MODIFIED: Final = 304
_CLIENT_ERRORS: Final = 400
_NOT_FOUND: Final = 404
_SERVER_ERRORS: Final = 500
_MAX_EXPONENT: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Revalidation:
    """The configuration that a client has, and how the server is asked for a newer one."""

    loaded: Loaded | None
    is_conditional: bool = True
    """True if the server need not send the same configuration again."""
    wait: float = 0.0
    """Seconds that the server may hold a conditional request."""
    no_cache: bool = False
    """True if the server must look at its store before it responds."""
    rejected: InvalidPayloadError | None = None
    """A configuration that was rejected: ask for another one than that."""

    def headers(self, request: ConfigRequest) -> dict[str, str]:
        """Return the headers that are sent in addition."""
        headers = {"Cache-Control": "no-cache"} if self.no_cache else {}
        etag = self._known_etag(request) if self.is_conditional else None
        if etag is not None:
            headers["If-None-Match"] = etag
            if self.wait:
                headers["Prefer"] = f"wait={math.ceil(self.wait)}"
        return headers

    def _known_etag(self, request: ConfigRequest) -> str | None:
        """Return the entity tag of the response that is not needed again."""
        if self.rejected is not None:
            return self.rejected.etag if self.rejected.url == request.url else None
        snapshot = None if self.loaded is None else self.loaded.snapshot
        return None if snapshot is None or snapshot.url != request.url else snapshot.etag

    def unchanged(
        self, request: ConfigRequest, response: HttpResponse
    ) -> Loaded | InvalidPayloadError | None:
        """Return what the server still has: the same configuration, confirmed, or the rejection.

        `None` if the response is another one.
        """
        conditional = "If-None-Match" in self.headers(request)
        if not conditional or response.status != _NOT_MODIFIED:
            return None
        if self.rejected is not None or self.loaded is None:
            return self.rejected
        return Loaded(
            properties=self.loaded.properties.confirmed(request.url, stale_seconds(response)),
            snapshot=replace(self.loaded.snapshot, saved_at=time.time()),
            waited=waited(response),
        )


def ask_round(
    job: Job,
    requests: tuple[ConfigRequest, ...],
    deadline: float,
    failures: Counter[str],
    current: Revalidation,
) -> Plan[Loaded | ConfigClientError]:
    """Ask every server once, in order.

    Returns:
        The first good response; else the most important failure, as `_BY_IMPORTANCE` orders them.
    """
    found: dict[FailureClass, ConfigClientError] = {}
    for position, request in enumerate(requests):
        left = max((deadline - time.monotonic()) / (len(requests) - position), 0.001)
        step, result = yield from _ask_server(job, request, left, current)
        if isinstance(result, Loaded):
            return result
        failures[str(result)] += 1
        found[classify_failure(result)] = result
        if isinstance(step.result, HttpResponse):
            result.retry_after = retry_after(step.result.headers)
        always = job.config.strategy == "always"
        if not always and not isinstance(result, ServerUnreachableError):
            break
    return next(found[name] for name in _BY_IMPORTANCE if name in found)


def _ask_server(
    job: Job, request: ConfigRequest, seconds: float, current: Revalidation
) -> Plan[tuple[SendRequest, Loaded | ConfigClientError]]:
    """Send one request, and read its response."""
    headers = current.headers(request)
    wait = current.wait if "Prefer" in headers else 0.0
    step = SendRequest(request=request, timeout=seconds + wait, headers=headers)
    until = time.monotonic() + step.timeout
    yield step
    response = step.result
    size = 0
    if isinstance(response, HttpResponse):
        if (same := current.unchanged(request, response)) is not None:
            return step, same
        size = len(response.body)
    try:
        loaded = yield from compute(partial(accept, job, request, response, until), size)
        check_not_behind(loaded, current.loaded)
        return step, validate(job, loaded)
    except ConfigClientError as error:
        yield NoteFailure(error=error)
        return step, error


def compute(run: Callable[[], Loaded], size: int) -> Plan[Loaded]:
    """Let the driver run a function; raise its `ConfigClientError`."""
    step = Compute(run=run, size=size)
    yield step
    if not isinstance(step.result, Loaded):
        raise step.result or ConfigClientError("the driver did not perform the step")
    return step.result


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


def backoff(attempt: int, *, first: float, most: float) -> float:
    """Return the seconds to wait before the next attempt, with full jitter.

    Jitter keeps the clients of a fleet from asking at the same moments.

    Args:
        attempt: Counted from 0.
        first: The longest first pause in seconds; it doubles with every attempt.
        most: The longest pause of all.
    """
    return random.uniform(0, min(most, first * 2 ** min(attempt, _MAX_EXPONENT)))  # noqa: S311


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of `Retry-After`; 0 if it is absent, a date or malformed."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() else 0.0
