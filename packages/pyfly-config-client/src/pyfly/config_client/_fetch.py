"""How a configuration is fetched: rounds, retries and fallbacks, as plans without input or output.

A round asks every server once. After it the plan decides: it returns a good response, tries the
next label, gives up, or starts another round. One deadline spans servers, labels and retries.
"""

import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from pyfly.config_client._changes import Loaded, announced, described
from pyfly.config_client._disk import Snapshot
from pyfly.config_client._properties import Properties
from pyfly.config_client._requests import ConfigRequest, HttpResponse
from pyfly.config_client._responses import (
    accept,
    check_not_behind,
    check_shrinking,
    read,
    stale_seconds,
    validate,
    waited,
)
from pyfly.config_client._steps import (
    Job,
    NoteFailure,
    Plan,
    ReadSnapshots,
    SendRequest,
    Session,
    Sleep,
    UseConfiguration,
    WriteSnapshot,
    compute,
)
from pyfly.config_client.errors import (
    FAILURES_BY_IMPORTANCE,
    ConfigClientError,
    FailureClass,
    InvalidPayloadError,
    ServerUnreachableError,
    SnapshotError,
    StaleResponseError,
    classify_failure,
)

_NOT_MODIFIED: Final = 304
_MAX_EXPONENT: Final = 30

_LOG: Final = logging.getLogger("pyfly.config_client")

_Ask: TypeAlias = Callable[[tuple[ConfigRequest, ...]], Plan[Loaded | ConfigClientError]]
"""Asks the servers for one label."""

_ATTEMPTS_WITH_FALLBACK: Final = 3
_FIRST_PAUSE: Final = 0.1
_MAX_PAUSE: Final = 2.0


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
        same = self.loaded.snapshot._replace(saved_at=time.time())  # from the same address
        return self.loaded.confirmed(same, stale_seconds(response), waited=waited(response))


def ask_round(
    job: Job,
    deadline: float,
    failures: Counter[str],
    current: Revalidation,
    requests: tuple[ConfigRequest, ...],
) -> Plan[Loaded | ConfigClientError]:
    """Ask every server once, in order; return the first good response.

    Otherwise return the most important failure, as `FAILURES_BY_IMPORTANCE` orders them.
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
    return next(found[name] for name in FAILURES_BY_IMPORTANCE if name in found)


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


def backoff(attempt: int, *, first: float, most: float) -> float:
    """Return the seconds to wait before the next attempt, which is counted from 0.

    The longest pause doubles with every attempt, from `first` to `most`. Jitter keeps the clients
    of a fleet from asking at the same moments.
    """
    return random.uniform(0, min(most, first * 2 ** min(attempt, _MAX_EXPONENT)))  # noqa: S311


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of `Retry-After`; 0 if it is absent, a date or malformed."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() else 0.0


# --- plans ----------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class _Progress:
    """What a fetch has found so far."""

    deadline: float
    stored: list[Loaded] = field(default_factory=list[Loaded])
    """The stored configurations that can be used, the best one first."""
    faults: list[str] = field(default_factory=list[str])
    """Why other stored configurations cannot be used."""
    failures: Counter[str] = field(default_factory=Counter[str])
    """The errors of all requests, and how often each occurred."""


def load(job: Job, current: Loaded | None) -> Plan[Loaded]:
    """Fetch under the policy of the job; `current` is the configuration that the client has.

    Raises:
        ConfigClientError: There is no configuration; the error lists everything that was tried.
    """
    policy = job.config.policy
    progress = _Progress(deadline=time.monotonic() + job.config.timeout)
    if policy != "require_server":
        yield from _read_stored(job, progress)
    if policy == "offline":
        if not progress.stored:
            error = SnapshotError(f"{job.name}: no snapshot or baseline can be used")
            error.tried = tuple(progress.faults)
            raise error
        return announced(progress.stored[0])
    try:
        ask = partial(_ask_repeatedly, job, progress, current)
        before = current or next(iter(progress.stored), None)
        loaded = yield from _ask_labels(job, ask, before, progress.failures)
    except StaleResponseError as error:
        assert current is not None  # noqa: S101 - the response differs from it
        _LOG.warning("%s: keeping the current configuration: %s", job.name, error)
        return current
    except ConfigClientError as error:
        return _fall_back(job, progress, error, current)
    if policy == "require_server":
        return announced(loaded)
    return announced((yield from store_and_reload(job, loaded)))


def fetch(session: Session) -> Plan[Properties]:
    """Fetch under the policy of a client, and return the configuration that is in use then.

    Raises:
        ConfigClientError: As `load`.
    """
    known = session.holder.loaded
    loaded = yield from load(session.job(), known)
    yield UseConfiguration(loaded=loaded, known=known)
    return session.in_use.properties


def refresh(session: Session) -> Plan[Properties]:
    """Ask once, until the response is not older than what came into use meanwhile.

    Raises:
        ConfigClientError: There was no response that can be used, or the client is offline.
    """
    if session.config.policy == "offline":
        raise ConfigClientError("a client with the policy 'offline' cannot refresh")
    while True:
        known = session.holder.loaded
        found = yield from revalidate(session.job(), Revalidation(loaded=known, no_cache=True))
        step = UseConfiguration(loaded=found, known=known)
        yield step
        if step.result:
            return session.in_use.properties


def revalidate(job: Job, current: Revalidation) -> Plan[Loaded]:
    """Ask once, and return the newest configuration. Uses no snapshot or baseline.

    A new configuration is stored as a snapshot, if the policy of the job allows that.

    Raises:
        ConfigClientError: No server sent a configuration that can be used.
    """
    known = current.loaded
    deadline, failures = time.monotonic() + job.config.timeout, Counter[str]()
    ask = partial(ask_round, job, deadline, failures, current)
    result = yield from _ask_labels(job, ask, known, failures)
    is_same = known is not None and result.snapshot.body == known.snapshot.body
    if known is not None and is_same and not known.properties.from_snapshot:
        stale = result.properties.stale_for
        return known.confirmed(result.snapshot, stale, waited=result.waited)
    if job.config.policy == "require_server":
        return result
    stored = yield from store_and_reload(job, result)
    return stored._replace(waited=result.waited)


def store_and_reload(job: Job, loaded: Loaded) -> Plan[Loaded]:
    """Write a snapshot, and return the configuration as read back.

    The snapshot is used on every start, so the fallback path is always tested.
    """
    step = WriteSnapshot(snapshot=loaded.snapshot)
    yield step
    if step.result is None:
        return loaded
    try:
        stored = step.result._replace(origin="server")
        return (yield from _from_stored(job, stored, stale=loaded.properties.stale_for))
    except ConfigClientError as error:
        _LOG.warning("%s: the snapshot cannot be used: %s", job.name, error)
        return loaded


def _fall_back(
    job: Job, progress: _Progress, error: ConfigClientError, current: Loaded | None
) -> Loaded:
    """Return the stored configuration after a failure, if the failure allows it.

    What the server has sent meanwhile stays in use: the snapshot may not have been written.
    """
    tried = [f"{n} times: {text}" if n > 1 else text for text, n in progress.failures.items()]
    if progress.stored and classify_failure(error) not in {"no-label", "rejected"}:
        stored = progress.stored[0]
        if current is not None and _is_older(stored, current):
            _LOG.warning("%s: keeping the current configuration: %s", job.name, "; ".join(tried))
            return current
        _LOG.warning("%s: using %s: %s", job.name, described(stored), "; ".join(tried))
        return announced(stored)
    error.tried = (*(tried if tried != [str(error)] else ()), *progress.faults)
    raise error from error.__cause__


def _is_older(stored: Loaded, current: Loaded) -> bool:
    """True if a stored configuration is another one than the current one, and not newer."""
    before, now = stored.snapshot, current.snapshot
    if current.properties.from_snapshot or before.body == now.body:
        return False
    return stored.properties.loaded_from == "baseline" or before.saved_at <= now.saved_at


def _ask_labels(job: Job, ask: _Ask, before: Loaded | None, failures: Counter[str]) -> Plan[Loaded]:
    """Try the labels in order, until one exists.

    A new configuration must not be much smaller than the one `before`.
    """
    failure: ConfigClientError | None = None
    for requests in job.requests:
        result = yield from ask(requests)
        if isinstance(result, Loaded):
            try:
                check_shrinking(job, result, before)
            except InvalidPayloadError as error:
                failures[str(error)] += 1
                yield NoteFailure(error=error)
                raise
            return result
        failure = result
        if classify_failure(result) != "no-label":
            break
    assert failure is not None  # noqa: S101 - there is always a label
    raise failure


def _ask_repeatedly(
    job: Job, progress: _Progress, current: Loaded | None, requests: tuple[ConfigRequest, ...]
) -> Plan[Loaded | ConfigClientError]:
    """Repeat rounds for one label until there is a final result, or no time."""
    attempt = 0
    known = Revalidation(loaded=current, is_conditional=False)
    while True:
        result = yield from ask_round(job, progress.deadline, progress.failures, known, requests)
        if isinstance(result, Loaded):
            return result
        failure = classify_failure(result)
        attempt += 1
        if failure not in {"temporary", "invalid"}:
            return result
        few = progress.stored or failure == "invalid"
        limit = _ATTEMPTS_WITH_FALLBACK if few and job.attempts is None else job.attempts
        pause = backoff(attempt - 1, first=_FIRST_PAUSE, most=_MAX_PAUSE)
        pause = max(pause, result.retry_after) if job.pauses else 0.0
        if attempt == limit or time.monotonic() + pause >= progress.deadline:
            return result
        if attempt == 1:
            _LOG.warning("%s: %s (trying again)", job.name, result)
        yield Sleep(seconds=pause)


def _read_stored(job: Job, progress: _Progress) -> Plan[None]:
    step = ReadSnapshots()
    yield step
    progress.faults += step.faults
    for snapshot in step.result:
        try:
            progress.stored.append((yield from _from_stored(job, snapshot)))
        except ConfigClientError as error:
            progress.faults.append(str(error))


def _from_stored(job: Job, snapshot: Snapshot, stale: float | None = None) -> Plan[Loaded]:
    if snapshot.saved_at > time.time():
        _LOG.warning("%s: the snapshot is dated in the future; check the clock", job.name)
    loaded = yield from compute(partial(read, job, snapshot, stale=stale), len(snapshot.body))
    return validate(job, loaded)
