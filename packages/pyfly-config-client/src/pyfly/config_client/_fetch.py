"""How a configuration is fetched: rounds, retries and fallbacks, as a plan without input or output.

One deadline spans servers, labels and retries. A round asks every server once. After a round the
plan decides: it returns a good response, tries the next label, gives up, or starts another round.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from pyfly.config_client._changes import Loaded
from pyfly.config_client._disk import Snapshot
from pyfly.config_client._properties import Properties
from pyfly.config_client._requests import ConfigRequest
from pyfly.config_client._rounds import (
    Revalidation,
    ask_round,
    backoff,
    check_shrinking,
    classify_failure,
    compute,
    read,
    validate,
)
from pyfly.config_client._steps import (
    Job,
    NoteFailure,
    Plan,
    ReadSnapshots,
    Session,
    Sleep,
    UseConfiguration,
    WriteSnapshot,
)
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    SnapshotError,
    StaleResponseError,
    printable,
)

_LOG: Final = logging.getLogger("pyfly.config_client")

_Ask: TypeAlias = Callable[[tuple[ConfigRequest, ...]], Plan[Loaded | ConfigClientError]]
"""Asks the servers for one label."""

_ATTEMPTS_WITH_FALLBACK: Final = 3
_FIRST_PAUSE: Final = 0.1
_MAX_PAUSE: Final = 2.0
_DAY: Final = 86_400
_UNITS: Final = ((_DAY, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


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
    """Fetch a configuration under the policy of the job.

    Args:
        job: The fetch.
        current: The configuration this client has, if any.

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
            raise _with_tried(error, progress.faults)
        return _announced(progress.stored[0])
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
        return _announced(loaded)
    return _announced((yield from store_and_reload(job, loaded)))


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
        return _confirmed(known, result)
    if job.config.policy == "require_server":
        return result
    stored = yield from store_and_reload(job, result)
    return stored._replace(waited=result.waited)


def _confirmed(known: Loaded, result: Loaded) -> Loaded:
    """Return the known configuration as the same one that the server has sent again."""
    found = result.properties
    return Loaded(
        properties=known.properties.confirmed(found.place, found.stale_for),
        snapshot=result.snapshot._replace(body=known.snapshot.body),
        waited=result.waited,
    )


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
        _LOG.warning("%s: using %s: %s", job.name, _described(stored), "; ".join(tried))
        return _announced(stored)
    tried = [] if tried == [str(error)] else tried
    raise _with_tried(error, [*tried, *progress.faults]) from error.__cause__


def _is_older(stored: Loaded, current: Loaded) -> bool:
    """True if a stored configuration is another one than the current one, and not newer."""
    before, now = stored.snapshot, current.snapshot
    if current.properties.from_snapshot or before.body == now.body:
        return False
    return stored.properties.loaded_from == "baseline" or before.saved_at <= now.saved_at


def _ask_labels(job: Job, ask: _Ask, before: Loaded | None, failures: Counter[str]) -> Plan[Loaded]:
    """Try the labels in order, until one exists.

    Args:
        job: The fetch.
        ask: Asks for one label.
        before: The configuration that a new one must not be much smaller than, if any.
        failures: Counts the errors, as `ask` does.
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


def _described(stored: Loaded) -> str:
    """Return a name for a stored configuration: `the snapshot of 10:31 (2 minutes old)`."""
    if stored.properties.loaded_from == "baseline":
        return f"the baseline {printable(stored.properties.place)}"
    saved = stored.snapshot.saved_at
    seconds = max(time.time() - saved, 0.0)
    form = "%H:%M" if seconds < _DAY else "%Y-%m-%d %H:%M"
    unit, name = next((u, n) for u, n in _UNITS if seconds >= u or u == 1)
    count = int(seconds // unit)
    old = f"{count} {name}{'' if count == 1 else 's'} old"
    return f"the snapshot of {time.strftime(form, time.localtime(saved))} ({old})"


def _announced(loaded: Loaded) -> Loaded:
    """Log what the service starts with, without values."""
    found = loaded.properties
    _LOG.info(
        "configuration of %s [%s]: %d properties from %s %s, version %s, age %.0f s",
        found.name,
        ",".join(found.profiles),
        len(found),
        found.loaded_from,
        found.place,
        printable(found.version or "unknown"),
        found.age.total_seconds(),
    )
    if loaded.only_shared:
        _LOG.warning("%s", only_shared_warning(found.name, found.profiles))
    return loaded


def only_shared_warning(application: str, profiles: Sequence[str]) -> str:
    """Return the warning that nothing is stored for the application itself."""
    return (
        f"nothing is stored for the application {application!r} with the profiles "
        f"{','.join(profiles)!r}; only properties shared by all applications were found; check "
        "the spelling of the names"
    )


def _with_tried(error: ConfigClientError, tried: list[str]) -> ConfigClientError:
    error.tried = tuple(tried)
    return error
