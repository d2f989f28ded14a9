"""One round of requests: every server is asked once, and its response is accepted or rejected.

Snapshots and baselines pass the same checks of form, identity and content as responses. What a
failure means for the fetch is decided here, too. No input or output.
"""

import math
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Literal, NamedTuple, TypeAlias

from pyfly.config_client._changes import Loaded
from pyfly.config_client._disk import Snapshot
from pyfly.config_client._exchange import HttpResponse, check_response, read_document
from pyfly.config_client._properties import ConfigMetadata, read_properties
from pyfly.config_client._requests import ConfigRequest
from pyfly.config_client._steps import Compute, Job, NoteFailure, Plan, SendRequest
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerRejectedError,
    ServerUnreachableError,
    StaleResponseError,
)
from pyfly.config_core import SHARED_APPLICATION, EncryptionError

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

_MAX_ETAG_LENGTH: Final = 1_000
_MAX_DIGITS: Final = 12
"""Of a number of seconds."""
_SHRINK_THRESHOLD: Final = 10
"""A configuration of fewer properties may shrink without `allow_shrink`."""
_DOCUMENT_NUMBER: Final = " (document #"
_AFTER_A_NAME: Final = ("", "-", ".", ",")  # in the name of a file


def accept(
    job: Job,
    request: ConfigRequest,
    result: HttpResponse | ConfigClientError | None,
    until: float = math.inf,
) -> Loaded:
    """Return the configuration in a response. Does not call the program's `validate`.

    `until` is the deadline, by `time.monotonic`. It is checked between steps whose work is bounded
    by the sizes in `pyfly.config_core.limits`.

    Raises:
        ConfigClientError: There is no response, or it must not be used.
    """
    if not isinstance(result, HttpResponse):
        raise result or ServerUnreachableError(f"{request.url}: the request was not sent")
    check_response(result, request.url, request.base_path_twice)
    snapshot = Snapshot(
        body=result.body,
        url=request.url,
        saved_at=time.time(),
        label=request.label,
        etag=_etag(result),
    )
    loaded = read(job, snapshot, stale=stale_seconds(result), until=until)
    return loaded._replace(waited=waited(result))


def _etag(response: HttpResponse) -> str | None:
    """Return the entity tag if it can be sent back."""
    etag = response.headers.get("etag", "")
    return etag if 0 < len(etag) <= _MAX_ETAG_LENGTH and etag.isascii() else None


def waited(response: HttpResponse) -> bool:
    """True if the server holds requests until something changes (RFC 7240)."""
    applied = response.headers.get("preference-applied", "")
    return any(one.partition("=")[0].strip().lower() == "wait" for one in applied.split(","))


def stale_seconds(response: HttpResponse) -> float | None:
    """Return for how many seconds the server cannot read its store; `None` if it can.

    The header `X-Config-Stale` says so. One without a number counts as 0 seconds.
    """
    text = response.headers.get("x-config-stale")
    if text is None:
        return None
    number = text.strip()
    usable = number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS
    return float(number) if usable else 0.0


def check_not_behind(new: Loaded, current: Loaded | None) -> None:
    """Reject another configuration of a server that cannot read its store.

    It may be older than the current one. A stale configuration is accepted if it is the first one
    that the server sends.

    Raises:
        StaleResponseError: The response is stale, and differs from the current configuration.
    """
    if current is None or current.properties.from_snapshot or new.properties.stale_for is None:
        return
    known, found = current.snapshot, new.snapshot
    if found.body != known.body and (found.etag is None or found.etag != known.etag):
        raise StaleResponseError(
            f"{found.url}: the server cannot read its store, and its last good configuration "
            "differs from the one in use, which may be newer"
        )


def check_shrinking(job: Job, new: Loaded, before: Loaded | None) -> None:
    """Reject a configuration that lost most of its properties, unless that is allowed.

    Raises:
        InvalidPayloadError: It lost more than half of ten or more properties.
    """
    count = 0 if before is None else len(before.properties)
    allowed = job.config.allow_shrink or count < _SHRINK_THRESHOLD
    if not allowed and 2 * len(new.properties) < count:
        raise _rejection(
            new,
            f"only {len(new.properties)} properties, {count} before; if that is intended, start "
            "once with allow_shrink=True",
        )


def read(
    job: Job, snapshot: Snapshot, *, stale: float | None = None, until: float = math.inf
) -> Loaded:
    """Return the configuration in the body of a snapshot or of a response.

    `stale` is for how many seconds the server could not read its store; `None` if it could.

    Raises:
        InvalidPayloadError: It is not the configuration that was requested, or is empty and that
            is not allowed.
        ServerUnreachableError: The deadline `until` has passed.
    """
    config = job.config
    environment = read_document(
        snapshot.body,
        place=snapshot.url,
        application=config.application,
        profiles=config.identity.profiles,
    )
    if config.value_cipher is not None:
        try:
            environment = config.value_cipher.decrypt(
                environment, applications=config.application.split(",")
            )
        except EncryptionError as error:
            raise InvalidPayloadError(f"{snapshot.url}: {error}") from None
    _check_deadline(snapshot, until)
    metadata = ConfigMetadata(
        name=environment.name,
        profiles=environment.profiles,
        label=environment.label,
        version=environment.version,
        loaded_from=snapshot.origin,
        place=snapshot.url,
        age=max(time.time() - snapshot.saved_at, 0.0),
        stale=stale,
    )
    environ = os.environ if config.placeholders else None
    properties = read_properties(environment.property_sources, metadata, environ=environ)
    if not properties and not config.allow_empty:
        keys = f" and the keys {config.identity.keys!r}" if config.identity.keys else ""
        raise InvalidPayloadError(
            f"{snapshot.url}: nothing is stored for {config.application!r} with the profiles "
            f"{config.identity.profiles!r}{keys}; check the names, or pass allow_empty=True"
        )
    _check_deadline(snapshot, until)
    names = (source.name for source in environment.property_sources if source.source)
    shared = only_shared(names, config.application)
    return Loaded(properties=properties, snapshot=snapshot, only_shared=shared)


def _check_deadline(snapshot: Snapshot, until: float) -> None:
    if time.monotonic() > until:
        raise ServerUnreachableError(
            f"{snapshot.url}: the response arrived, but could not be read within the timeout"
        )


def only_shared(names: Iterable[str], application: str) -> bool:
    """True if all property sources, by their names, are shared by all applications.

    A name of an unknown form counts as the application's own, so that servers which name sources
    in another way cause no false warning.

    >>> only_shared(["main/application.yaml", "overrides"], "orders")
    True
    >>> only_shared(["file:/repo/application-prod.yml (document #1)", "orders-prod"], "orders")
    False
    """
    if SHARED_APPLICATION in application.split(","):
        return False
    files = [name.replace(":", "/").rpartition("/")[2] for name in names]
    return bool(files) and all(map(_is_shared, files))


def _is_shared(file: str) -> bool:
    stem = file.partition(_DOCUMENT_NUMBER)[0]
    rest = stem.removeprefix(SHARED_APPLICATION)
    return stem == "overrides" or (rest != stem and rest[:1] in _AFTER_A_NAME)


def validate(job: Job, loaded: Loaded) -> Loaded:
    """Return a configuration after the program's `validate` has accepted it.

    Raises:
        InvalidPayloadError: The program rejects it.
    """
    check = job.config.validate
    if check is None:
        return loaded
    try:
        check(loaded.properties)
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigClientError) else type(error).__name__
        raise _rejection(loaded, f"rejected by 'validate' of the program: {reason}") from error
    return loaded


def _rejection(loaded: Loaded, reason: str) -> InvalidPayloadError:
    """Return the error for a configuration that arrived whole, and must not be used."""
    found = loaded.snapshot
    error = InvalidPayloadError(f"{found.url}: {reason}")
    error.url, error.etag = found.url, found.etag
    return error


# --- the round ------------------------------------------------------------------------


class Revalidation(NamedTuple):
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
            snapshot=self.loaded.snapshot._replace(saved_at=time.time()),
            waited=waited(response),
        )


def ask_round(
    job: Job,
    deadline: float,
    failures: Counter[str],
    current: Revalidation,
    requests: tuple[ConfigRequest, ...],
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
