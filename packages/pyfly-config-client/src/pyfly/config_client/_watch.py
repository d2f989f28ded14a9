"""Watching: what a change is, when to ask again, the thread of the blocking client, a lifespan.

A watcher sends conditional requests, which the server may hold. After a failure, or a response
that is rejected, the current configuration stays in use.
"""

import logging
import os
import random
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final, Never, Self, TypeAlias, TypeVar

from pyfly.config_client._acceptance import Job, Loaded, check_shrinking
from pyfly.config_client._fetch import (
    Revalidation,
    ask_round,
    backoff,
    classify_failure,
    store_and_reload,
)
from pyfly.config_client._properties import Properties
from pyfly.config_client._steps import BlockingDriver, Plan, Sleep, Step
from pyfly.config_client.errors import ConfigClientError, InvalidPayloadError
from pyfly.config_core.property_names import canonical

T = TypeVar("T")

_LOG: Final = logging.getLogger("pyfly.config_client")

_FIRST_PAUSE: Final = 1.0
_MAX_RETRY_AFTER: Final = 60.0
_MIN_HELD_SECONDS: Final = 1.0
"""A response that says it was held, but came sooner without a change, counts as not held."""
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A new configuration, and which keys differ from the previous one. Shows no values."""

    properties: Properties
    previous: Properties = field(repr=False)
    added: frozenset[str]
    removed: frozenset[str]
    changed: frozenset[str]

    @property
    def keys(self) -> frozenset[str]:
        """All keys that differ."""
        return self.added | self.removed | self.changed

    def touches(self, prefix: str) -> bool:
        """True if a key that differs is `prefix`, in any spelling, or lies below it."""
        start = canonical(prefix)
        return not start or any(f"{canonical(key)}.".startswith(f"{start}.") for key in self.keys)


def compare(previous: Properties, properties: Properties) -> Change:
    """Return the differences; `1`, `1.0`, `True` and `"1"` are different values.

    Keys are spelled as in the new configuration; a different spelling alone is no change. A value
    with placeholders that cannot be resolved differs from every value that can be read.
    """
    before, after = previous.entries(), properties.entries()
    return Change(
        properties=properties,
        previous=previous,
        added=frozenset(after[name][0] for name in after.keys() - before.keys()),
        removed=frozenset(before[name][0] for name in before.keys() - after.keys()),
        changed=frozenset(
            after[name][0]
            for name in before.keys() & after.keys()
            if _differ(before[name][1], after[name][1])
        ),
    )


def _differ(before: object, after: object) -> bool:
    return before != after or type(before) is not type(after)


# --- the plan -------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class PublishChange:
    """The step to use a new configuration and to pass the change on; a driver does not get it."""

    loaded: Loaded
    change: Change


WatchPlan: TypeAlias = Generator[Step | PublishChange, None, T]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class WatchTiming:
    """How often a watcher asks."""

    interval: float
    """Mean seconds between two requests, if the server does not hold them."""
    wait: float
    """Seconds that the server may hold a request."""

    @property
    def max_pause(self) -> float:
        """The longest pause after failures, in seconds."""
        return max(self.interval, _FIRST_PAUSE)


def watch(make_job: Callable[[], Job], loaded: Loaded, timing: WatchTiming) -> WatchPlan[Never]:
    """Publish every change of a configuration. Never ends.

    Args:
        make_job: Called before every request, because a credential may have been renewed.
        loaded: The current configuration.
        timing: How often to ask.
    """
    job = yield from _first_job(make_job, timing)
    failures = 0
    problem = ""
    while True:
        began = time.monotonic()
        job = _renewed(make_job, job)
        result = yield from _ask(job, Revalidation(loaded=loaded, wait=timing.wait))
        if isinstance(result, ConfigClientError):
            if str(result) != problem:
                _LOG.warning("%s: keeping the current configuration: %s", job.name, result)
            problem = str(result)
            pause = backoff(failures, first=_FIRST_PAUSE, most=timing.max_pause)
            failures += 1
            yield Sleep(seconds=max(pause, min(result.retry_after, _MAX_RETRY_AFTER)))
            continue
        if failures:
            _LOG.info("%s: the server responds again", job.name)
        failures, problem = 0, ""
        same = result.snapshot.body == loaded.snapshot.body
        if not same or loaded.properties.from_snapshot:
            loaded = yield from _publish(job, result, loaded)
        held = result.waited and (not same or time.monotonic() - began >= _MIN_HELD_SECONDS)
        if not held:
            yield Sleep(seconds=timing.interval * random.uniform(0.5, 1.5))  # noqa: S311 - jitter


def _first_job(make_job: Callable[[], Job], timing: WatchTiming) -> Plan[Job]:
    """Return a job as soon as one can be made; the token file may be missing at the moment."""
    failures = 0
    while True:
        try:
            return make_job()
        except ConfigClientError as error:
            _LOG.warning("watching starts when this is fixed: %s", error)
        yield Sleep(seconds=backoff(failures, first=_FIRST_PAUSE, most=timing.max_pause))
        failures += 1


def _renewed(make_job: Callable[[], Job], job: Job) -> Job:
    try:
        return make_job()
    except ConfigClientError as error:
        _LOG.warning("%s: using the previous token: %s", job.name, error)
        return job


def _publish(job: Job, new: Loaded, before: Loaded) -> WatchPlan[Loaded]:
    if job.config.policy != "require_server":
        new = yield from store_and_reload(job, new)
    change = compare(before.properties, new.properties)
    _LOG.info("%s: new configuration, %d properties differ", job.name, len(change.keys))
    yield PublishChange(loaded=new, change=change)
    return new


def _ask(job: Job, current: Revalidation) -> Plan[Loaded | ConfigClientError]:
    """Ask once for every label, until one exists. Returns a failure instead of raising it."""
    deadline = time.monotonic() + job.config.timeout
    result: Loaded | ConfigClientError | None = None
    for requests in job.requests:
        result = yield from ask_round(job, requests, deadline, Counter(), current)
        if isinstance(result, Loaded) or classify_failure(result) != "no-label":
            break
    assert result is not None  # noqa: S101 - there is always a label
    if isinstance(result, Loaded):
        try:
            check_shrinking(job, result, current.loaded)
        except InvalidPayloadError as error:
            return error
    return result


# --- the thread -----------------------------------------------------------------------


class Watcher:
    """The thread that `SyncConfigClient.watch` starts; a context manager that stops it."""

    def __init__(
        self,
        *,
        plan: Callable[[], WatchPlan[Never]],
        driver: Callable[[], BlockingDriver],
        use: Callable[[Loaded], object],
        on_change: Callable[[Change], object] | None,
        restarts: bool = True,
    ) -> None:
        self._restarts = restarts
        self._plan = plan
        self._make_driver = driver
        self._use = use
        self._on_change = on_change
        self._running = False
        self._start()
        _watchers.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """True if the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread. Waits for a running callback, for five seconds at most."""
        self._running = False
        self._driver.stop()
        if self._thread is not threading.current_thread():
            self._thread.join(_STOP_SECONDS)

    def restart(self) -> None:
        """Start the thread again in a forked process, which does not inherit threads.

        Not if the watcher belongs to live values, which start another one when they need it.
        """
        if self._running and self._restarts:
            _LOG.info("watching again in a forked process")
            self._start()

    def _start(self) -> None:
        self._running = True
        self._driver = self._make_driver()
        plan = self._plan()
        self._thread = threading.Thread(
            target=self._work, args=(self._driver, plan), name="pyfly-config-watch", daemon=True
        )
        self._thread.start()

    def _work(self, driver: BlockingDriver, plan: WatchPlan[Never]) -> None:
        for step in plan:
            if driver.stopped.is_set():
                return
            if isinstance(step, PublishChange):
                self._publish(step)
            else:
                driver.perform(step)

    def _publish(self, step: PublishChange) -> None:
        self._use(step.loaded)
        if self._on_change is None or not step.change.keys:
            return
        try:
            self._on_change(step.change)
        except BaseException as error:  # noqa: BLE001 - the program's own code may raise anything
            # Also `SystemExit`, which would end only this thread. The traceback and the text are
            # not logged, because they may show values.
            _LOG.error("on_change raised %s; watching continues", type(error).__name__)


_watchers: "weakref.WeakSet[Watcher]" = weakref.WeakSet()


def _restart_all() -> None:
    for watcher in list(_watchers):
        watcher.restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
