"""How a configuration is had: whom to ask, what to accept, when to give up. No input, no output.

One deadline spans servers, labels and retries. A round asks every server once; what the round
means is decided when it is over: a good answer, an unknown label, a refusal, or another round.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from pyfly.config_client._answer import Answer, check_answer, read_document
from pyfly.config_client._effects import Keep, Plan, ReadStored, Send, Sleep
from pyfly.config_client._facts import Facts
from pyfly.config_client._loaded import Loaded
from pyfly.config_client._properties import Properties, read_properties
from pyfly.config_client._request import ConfigRequest
from pyfly.config_client._retry import Verdict, backoff, judge, retry_after
from pyfly.config_client._snapshot import Snapshot
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerUnreachableError,
    SnapshotError,
)
from pyfly.config_core import ConfigFormatError

Policy = Literal["prefer_server", "require_server", "offline"]
Strategy = Literal["always", "connection-timeout-only"]

LOG: Final = logging.getLogger("pyfly.config_client")

ATTEMPTS_WITH_FALLBACK: Final = 3
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0
_NOT_MODIFIED: Final = 304
_MANY: Final = 10
"""Fewer properties may shrink by any share without being suspicious."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is wanted, and under which rules."""

    requests: tuple[tuple[ConfigRequest, ...], ...] = field(repr=False)
    """For every label one request to every server."""
    policy: Policy
    strategy: Strategy
    timeout: float
    attempts: int | None
    """Rounds at most; `None` leaves it to the deadline, or to a fallback that is at hand."""
    allow_empty: bool
    allow_shrink: bool
    placeholders: bool
    validate: Callable[[Properties], object] | None = field(default=None, repr=False)
    """Raises when a configuration must not be used."""

    @property
    def name(self) -> str:
        """What a log line calls it."""
        first = self.requests[0][0]
        return f"{first.application} [{first.profiles}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a watcher has, which the server need not send again."""

    loaded: Loaded
    wait: float
    """Seconds that the server may hold the request."""

    def condition(self, request: ConfigRequest) -> dict[str, str]:
        """Return the headers that make a request conditional; none where it cannot be."""
        etag = self.loaded.snapshot.etag
        if etag is None or self.loaded.snapshot.url != request.url:
            return {}
        return {"If-None-Match": etag, "Prefer": f"wait={self.wait:.0f}"}


def load(job: Job, known: Loaded | None) -> Plan[Loaded]:
    """Get a configuration as the policy of the job says.

    Args:
        job: What is wanted.
        known: The configuration this process has, if any.

    Raises:
        ConfigClientError: None can be had; says everything that was tried.
    """
    stored: list[Loaded] = []
    faults: list[str] = []
    if job.policy != "require_server":
        yield from _read_stored(job, stored, faults)
    if job.policy == "offline":
        if not stored:
            raise _with_tried(SnapshotError(f"{job.name}: nothing is stored here"), faults)
        return _announced(stored[0])
    before = known or (stored[0] if stored else None)
    tried: Counter[str] = Counter()
    try:
        asked = yield from _ask_labels(job, before, tried, fallback=bool(stored))
    except ConfigClientError as error:
        listed = [f"{count} times: {text}" if count > 1 else text for text, count in tried.items()]
        if stored and judge(error) not in {"unknown", "refused"}:
            LOG.warning("%s: %s; going on with what is stored", job.name, "; ".join(listed))
            return _announced(stored[0])
        listed = [] if listed == [str(error)] else listed
        raise _with_tried(error, [*listed, *faults]) from error.__cause__
    if job.policy == "require_server":
        return _announced(asked)
    return _announced((yield from keep(job, asked)))


def keep(job: Job, asked: Loaded) -> Plan[Loaded]:
    """Write a configuration to the disk and go on with what is read back."""
    effect = Keep(snapshot=asked.snapshot)
    yield effect
    if effect.result is None:
        return asked
    try:
        return _from_stored(job, effect.result, loaded_from="server")
    except ConfigClientError as error:
        LOG.warning("%s: the snapshot cannot be used: %s", job.name, error)
        return asked


def ask_round(
    job: Job,
    requests: tuple[ConfigRequest, ...],
    deadline: float,
    tried: Counter[str],
    known: Known | None = None,
) -> Plan[Loaded | ConfigClientError]:
    """Ask every server once, in order; return the first good answer or what the round means."""
    failures: dict[Verdict, ConfigClientError] = {}
    for position, request in enumerate(requests):
        left = max((deadline - time.monotonic()) / (len(requests) - position), 0.001)
        condition = {} if known is None else known.condition(request)
        wait = known.wait if known is not None and condition else 0.0
        send = Send(request=request, timeout=left + wait, headers=condition)
        yield send
        try:
            if known is not None and condition and _is_current(send.result):
                return replace(known.loaded, waited=_waited(send.result))
            return accept(job, request, send.result)
        except ConfigClientError as error:
            tried[str(error)] += 1
            failures[judge(error)] = error
            if isinstance(send.result, Answer):
                error.retry_after = retry_after(send.result.headers)
            if job.strategy != "always" and not isinstance(error, ServerUnreachableError):
                break
    order: tuple[Verdict, ...] = ("unknown", "refused", "later", "broken", "odd")
    return next(failures[verdict] for verdict in order if verdict in failures)


def _is_current(result: Answer | ConfigClientError | None) -> bool:
    return isinstance(result, Answer) and result.status == _NOT_MODIFIED


def _waited(result: Answer | ConfigClientError | None) -> bool:
    applied = result.headers.get("preference-applied", "") if isinstance(result, Answer) else ""
    return any(one.partition("=")[0].strip().lower() == "wait" for one in applied.split(","))


def accept(job: Job, request: ConfigRequest, result: Answer | ConfigClientError | None) -> Loaded:
    """Return the configuration in an answer.

    Raises:
        ConfigClientError: There is none that may be used.
    """
    if not isinstance(result, Answer):
        raise result or ServerUnreachableError(f"{request.url}: was not asked")
    check_answer(request, result)
    snapshot = Snapshot(
        body=result.body,
        url=request.url,
        saved_at=time.time(),
        label=request.label,
        etag=result.headers.get("etag"),
    )
    return Loaded(
        properties=_read(job, snapshot, Facts(loaded_from="server", place=request.url)),
        snapshot=snapshot,
        waited=_waited(result),
    )


def check_consent(job: Job, new: Loaded, before: Loaded | None) -> None:
    """Refuse a configuration that has lost most of what it had, unless that is allowed.

    Raises:
        InvalidPayloadError: It has.
    """
    count = 0 if before is None else len(before.properties)
    if not job.allow_shrink and count >= _MANY and 2 * len(new.properties) < count:
        raise InvalidPayloadError(
            f"{new.snapshot.url}: only {len(new.properties)} properties where there were {count}; "
            "if that is meant, start once with allow_shrink=True"
        )


def _ask_labels(
    job: Job, before: Loaded | None, tried: Counter[str], *, fallback: bool
) -> Plan[Loaded]:
    deadline = time.monotonic() + job.timeout
    failure: ConfigClientError | None = None
    for requests in job.requests:
        result = yield from _ask(job, requests, deadline, (before, tried, fallback))
        if isinstance(result, Loaded):
            return result
        failure = result
        if judge(result) != "unknown":
            break
    assert failure is not None  # noqa: S101 - there is always a label
    raise failure


def _ask(
    job: Job,
    requests: tuple[ConfigRequest, ...],
    deadline: float,
    rest: tuple[Loaded | None, Counter[str], bool],
) -> Plan[Loaded | ConfigClientError]:
    """Repeat rounds for one label until there is a verdict, or no time."""
    before, tried, fallback = rest
    attempt = 0
    while True:
        result = yield from ask_round(job, requests, deadline, tried)
        if isinstance(result, Loaded):
            try:
                check_consent(job, result, before)
            except InvalidPayloadError as error:
                tried[str(error)] += 1
                result = error
            return result
        verdict = judge(result)
        attempt += 1
        if verdict not in {"later", "broken"}:
            return result
        few = fallback or verdict == "broken"
        limit = ATTEMPTS_WITH_FALLBACK if few and job.attempts is None else job.attempts
        pause = backoff(attempt - 1, first=_FIRST_WAIT, most=_LONGEST_WAIT)
        pause = max(pause, result.retry_after)
        if attempt == limit or time.monotonic() + pause >= deadline:
            return result
        if attempt == 1:
            LOG.warning("%s; trying again", result)
        yield Sleep(seconds=pause)


def _read_stored(job: Job, stored: list[Loaded], faults: list[str]) -> Plan[None]:
    effect = ReadStored()
    yield effect
    faults += effect.faults
    for snapshot in effect.result:
        try:
            stored.append(_from_stored(job, snapshot, loaded_from=snapshot.origin))
        except ConfigClientError as error:
            faults.append(str(error))


def _from_stored(
    job: Job, snapshot: Snapshot, *, loaded_from: Literal["server", "snapshot", "baseline"]
) -> Loaded:
    age = time.time() - snapshot.saved_at
    if age < 0:
        LOG.warning("%s: the snapshot is dated in the future; is the clock right?", job.name)
    facts = Facts(loaded_from=loaded_from, place=snapshot.url, age_then=max(age, 0.0))
    return Loaded(properties=_read(job, snapshot, facts), snapshot=snapshot)


def _read(job: Job, snapshot: Snapshot, facts: Facts) -> Properties:
    asked = job.requests[0][0]
    environment = read_document(
        snapshot.body,
        place=snapshot.url,
        application=asked.application,
        profiles=asked.profiles,
    )
    environ: Mapping[str, str] | None = os.environ if job.placeholders else None
    try:
        found = read_properties(
            environment.property_sources, facts.of(environment), environ=environ
        )
    except ConfigFormatError as error:
        raise InvalidPayloadError(f"{snapshot.url}: {error}") from error
    if not found and not job.allow_empty:
        raise InvalidPayloadError(
            f"{snapshot.url}: nothing is stored for {asked.application!r} with the profiles "
            f"{asked.profiles!r}; check the names, or pass allow_empty=True"
        )
    _validate(job, found, snapshot.url)
    return found


def _validate(job: Job, found: Properties, place: str) -> None:
    if job.validate is None:
        return
    try:
        job.validate(found)
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigClientError) else type(error).__name__
        raise InvalidPayloadError(f"{place}: refused by the program itself: {reason}") from error


def _announced(loaded: Loaded) -> Loaded:
    """Say once what a service starts with; never values."""
    found = loaded.properties
    LOG.info(
        "configuration of %s [%s]: %d properties from %s %s, version %s, age %.0f s",
        found.name,
        ",".join(found.profiles),
        len(found),
        found.loaded_from,
        found.place,
        found.version or "unknown",
        found.age.total_seconds(),
    )
    return loaded


def _with_tried(error: ConfigClientError, tried: list[str]) -> ConfigClientError:
    error.tried = tuple(tried)
    return error
