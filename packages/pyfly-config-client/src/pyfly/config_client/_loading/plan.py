"""How a configuration is had: whom to ask, what to accept, when to give up. No input, no output.

One deadline spans servers, labels and retries. A round asks every server once; what the round
means is decided when it is over: a good answer, an unknown label, a refusal, or another round.
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Final, Literal

from pyfly.config_client._loading.accept import Job, check_consent, read, validate
from pyfly.config_client._loading.effects import Keep, Plan, ReadStored, Sleep
from pyfly.config_client._loading.loaded import Loaded
from pyfly.config_client._loading.request import ConfigRequest
from pyfly.config_client._loading.retry import backoff, judge
from pyfly.config_client._loading.round import ask_round, compute
from pyfly.config_client._printable import printable
from pyfly.config_client._result.facts import Facts
from pyfly.config_client._snapshot.format import Snapshot
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    SnapshotError,
)

LOG: Final = logging.getLogger("pyfly.config_client")

ATTEMPTS_WITH_FALLBACK: Final = 3
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0
_DAY: Final = 86_400
_UNITS: Final = ((_DAY, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def load(job: Job, known: Loaded | None) -> Plan[Loaded]:
    """Get a configuration as the policy of the job says.

    Args:
        job: What is wanted.
        known: The configuration this process has, if any.

    Raises:
        ConfigClientError: None can be had; says everything that was tried.
    """
    deadline = time.monotonic() + job.timeout
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
        asked = yield from _ask_labels(job, deadline, (before, tried, bool(stored)))
    except ConfigClientError as error:
        listed = [f"{count} times: {text}" if count > 1 else text for text, count in tried.items()]
        if stored and judge(error) not in {"unknown", "refused"}:
            LOG.warning("%s: using %s: %s", job.name, _described(stored[0]), "; ".join(listed))
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
        return (yield from _from_stored(job, effect.result, loaded_from="server"))
    except ConfigClientError as error:
        LOG.warning("%s: the snapshot cannot be used: %s", job.name, error)
        return asked


def _ask_labels(
    job: Job, deadline: float, rest: tuple[Loaded | None, Counter[str], bool]
) -> Plan[Loaded]:
    failure: ConfigClientError | None = None
    for requests in job.requests:
        result = yield from _ask(job, requests, deadline, rest)
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
        pause = 0.0 if job.instant else max(pause, result.retry_after)
        if attempt == limit or time.monotonic() + pause >= deadline:
            return result
        if attempt == 1:
            LOG.warning("%s: %s (trying again)", job.name, result)
        yield Sleep(seconds=pause)


def _read_stored(job: Job, stored: list[Loaded], faults: list[str]) -> Plan[None]:
    effect = ReadStored()
    yield effect
    faults += effect.faults
    for snapshot in effect.result:
        try:
            stored.append((yield from _from_stored(job, snapshot, loaded_from=snapshot.origin)))
        except ConfigClientError as error:
            faults.append(str(error))


def _from_stored(
    job: Job, snapshot: Snapshot, *, loaded_from: Literal["server", "snapshot", "baseline"]
) -> Plan[Loaded]:
    age = time.time() - snapshot.saved_at
    if age < 0:
        LOG.warning("%s: the snapshot is dated in the future; is the clock right?", job.name)
    facts = Facts(loaded_from=loaded_from, place=snapshot.url, age_then=max(age, 0.0))
    found = yield from compute(partial(read, job, snapshot, facts), len(snapshot.body))
    return validate(job, found)


def _described(stored: Loaded) -> str:
    """Return what is used instead of an answer, as in `the snapshot of 10:31 (2 minutes old)`."""
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
    """Say once what a service starts with; never values."""
    found = loaded.properties
    LOG.info(
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
        LOG.warning("%s", shared_warning(found.name, found.profiles))
    return loaded


def shared_warning(application: str, profiles: Sequence[str]) -> str:
    """Return what to say where nothing is stored for the application itself."""
    return (
        f"nothing is stored for the application {application!r} with the profiles "
        f"{','.join(profiles)!r}: only properties shared by all applications came; are the names "
        "spelt right?"
    )


def _with_tried(error: ConfigClientError, tried: list[str]) -> ConfigClientError:
    error.tried = tuple(tried)
    return error
