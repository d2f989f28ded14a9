"""How a watcher stays current: conditional requests, held by the server or repeated with jitter.

What is known is never replaced by less: a failure, an answer that is refused, or one that the
program's own check refuses leaves it in use.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Never

from pyfly.config_client._loading.accept import Job, check_consent
from pyfly.config_client._loading.effects import Deliver, Plan, Sleep
from pyfly.config_client._loading.loaded import Loaded
from pyfly.config_client._loading.plan import LOG, keep
from pyfly.config_client._loading.retry import backoff, judge
from pyfly.config_client._loading.round import Known, ask_round
from pyfly.config_client._result.change import compare
from pyfly.config_client.errors import ConfigClientError, InvalidPayloadError

_FIRST_WAIT: Final = 1.0
_LONGEST_ASKED: Final = 60.0
_HELD: Final = 1.0
"""A server that says it waited took at least so many seconds, or is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Pace:
    """How often a watcher asks."""

    interval: float
    """Seconds between two requests, on average, where the server does not hold them."""
    wait: float
    """Seconds that the server may hold one."""


def watch(make_job: Callable[[], Job], loaded: Loaded, pace: Pace) -> Plan[Never]:
    """Deliver every change of a configuration, for ever.

    Args:
        make_job: Called before every request: a credential may have been renewed.
        loaded: What is known.
        pace: How often to ask.
    """
    longest = max(pace.interval, _FIRST_WAIT)
    job = yield from _first(make_job, longest)
    failures = 0
    problem = ""
    while True:
        began = time.monotonic()
        job = _renewed(make_job, job)
        result = yield from _ask(job, Known(loaded=loaded, wait=pace.wait))
        if isinstance(result, ConfigClientError):
            if str(result) != problem:
                LOG.warning("%s: still using what is known: %s", job.name, result)
            problem = str(result)
            pause = backoff(failures, first=_FIRST_WAIT, most=longest)
            failures += 1
            yield Sleep(seconds=max(pause, min(result.retry_after, _LONGEST_ASKED)))
            continue
        if failures:
            LOG.info("%s: the server answers again", job.name)
        failures, problem = 0, ""
        same = result.snapshot.body == loaded.snapshot.body
        if not same or loaded.properties.from_snapshot:
            loaded = yield from _change(job, result, loaded)
        held = result.waited and (not same or time.monotonic() - began >= _HELD)
        if not held:
            yield Sleep(seconds=pace.interval * random.uniform(0.5, 1.5))  # noqa: S311 - jitter


def _first(make_job: Callable[[], Job], longest: float) -> Plan[Job]:
    """Return a job once one can be made; the file of a token may be rewritten just now."""
    failures = 0
    while True:
        try:
            return make_job()
        except ConfigClientError as error:
            LOG.warning("watching begins when this is mended: %s", error)
        yield Sleep(seconds=backoff(failures, first=_FIRST_WAIT, most=longest))
        failures += 1


def _renewed(make_job: Callable[[], Job], job: Job) -> Job:
    try:
        return make_job()
    except ConfigClientError as error:
        LOG.warning("%s: %s; going on with the last one", job.name, error)
        return job


def _change(job: Job, new: Loaded, before: Loaded) -> Plan[Loaded]:
    if job.policy != "require_server":
        new = yield from keep(job, new)
    change = compare(before.properties, new.properties)
    LOG.info("%s: the server sends it; %d properties differ", job.name, len(change.keys))
    yield Deliver(loaded=new, change=change)
    return new


def _ask(job: Job, known: Known) -> Plan[Loaded | ConfigClientError]:
    """Ask once, for every label; a failure is returned."""
    deadline = time.monotonic() + job.timeout
    result: Loaded | ConfigClientError | None = None
    for requests in job.requests:
        result = yield from ask_round(job, requests, deadline, Counter(), known)
        if isinstance(result, Loaded) or judge(result) != "unknown":
            break
    assert result is not None  # noqa: S101 - there is always a label
    if isinstance(result, Loaded):
        try:
            check_consent(job, result, known.loaded)
        except InvalidPayloadError as error:
            return error
    return result
