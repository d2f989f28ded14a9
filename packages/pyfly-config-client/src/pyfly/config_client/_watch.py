"""Watching: when to ask again, and the two watchers.

A watcher sends conditional requests, which the server may hold until something changes. After a
failure, or a response that is rejected, the current configuration stays in use.
"""

import logging
import random
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Never, Self

from pyfly.config_client._changes import Change, ClientStatus, Loaded, difference, register
from pyfly.config_client._config import check_seconds
from pyfly.config_client._fetch import Revalidation, backoff, fetch, refresh, revalidate
from pyfly.config_client._forks import start_after_fork
from pyfly.config_client._properties import Properties
from pyfly.config_client._steps import (
    AsyncDriver,
    BlockingDriver,
    Job,
    Plan,
    Session,
    Sleep,
    UseConfiguration,
)
from pyfly.config_client.errors import ConfigClientError, InvalidPayloadError

if TYPE_CHECKING:
    import asyncio

_LOG: Final = logging.getLogger("pyfly.config_client")

_FIRST_PAUSE: Final = 1.0
_MAX_PAUSE: Final = 60.0
_MAX_RETRY_AFTER: Final = 60.0
_SHORT_PAUSE: Final = 0.1
"""Seconds between changes that follow each other, so that a burst is a few changes."""
_EARLY: Final = 0.75
"""The part of the wait before which a server ends it only because it stops."""
_STOP_SECONDS: Final = 5.0


# --- the plan -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class WatchTiming:
    """How often a watcher asks. A number that cannot be used is a `ValueError`."""

    interval: float
    """Mean seconds between two requests, if the server does not hold them."""
    wait: float
    """Seconds that the server may hold a request; 0 if it need not."""

    def __post_init__(self) -> None:
        check_seconds("interval", self.interval)
        if self.wait != 0:
            check_seconds("wait", self.wait)

    def after_failure(self, job: Job | None, failures: int, retry_after: float = 0.0) -> float:
        """Return the seconds to wait after a failure, with full jitter.

        Jitter is added to what the server asks for, because it tells all clients the same.
        `failures` is the number of those before this one, without a success between them.
        """
        if job is not None and not job.pauses:
            return _SHORT_PAUSE
        most = min(max(self.interval, _FIRST_PAUSE), _MAX_PAUSE)
        return min(retry_after, _MAX_RETRY_AFTER) + backoff(failures, first=_FIRST_PAUSE, most=most)


def watch_session(session: Session, timing: WatchTiming) -> Plan[Never]:
    """Return the plan that keeps the configuration of a client current.

    Raises:
        ConfigClientError: The client is offline.
    """
    if session.config.policy == "offline":
        raise ConfigClientError("a client with the policy 'offline' cannot watch")
    return watch(session.job, lambda: session.in_use, timing)


def watch(
    make_job: Callable[[], Job], current: Callable[[], Loaded], timing: WatchTiming
) -> Plan[Never]:
    """Keep a configuration current. Never ends.

    Before every request it makes a job, because a credential may have been renewed, and looks at
    the current configuration, which a fetch may have replaced.
    """
    job: Job | None = None
    past = _Past(timing=timing)
    while True:
        job = yield from _renewed(make_job, job, timing)
        known, began = current(), time.monotonic()
        asked_for = past.next_question(known)
        try:
            found = yield from revalidate(job, asked_for)
        except ConfigClientError as error:
            pause = past.failed(job, error, time.monotonic() - began)
        else:
            past.succeeded(job)
            yield UseConfiguration(loaded=found, known=known)
            pause = past.pause(job, asked_for.wait, (known, found), time.monotonic() - began)
        if pause:
            yield Sleep(seconds=pause)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class _Past:
    """How the last requests of a watcher went, which decides when and how it asks again."""

    timing: WatchTiming
    failures: int = 0
    """Without a success between them."""
    early: int = 0
    """How many waits in a row have ended early, without a change."""
    problem: str = ""
    """The text of the last failure, which is logged once."""
    rejected: InvalidPayloadError | None = None
    """The rejected configuration that the server has, if it can wait for another one."""

    def next_question(self, known: Loaded) -> Revalidation:
        """Return how to ask now."""
        # News of the server itself must not wait for a change of the configuration.
        may_wait = self.rejected or not (self.failures or known.properties.from_snapshot)
        wait = self.timing.wait if may_wait else 0.0
        return Revalidation(loaded=known, wait=wait, rejected=self.rejected)

    def failed(self, job: Job, error: ConfigClientError, seconds: float) -> float:
        """Note a failure; return the seconds to wait before the next request.

        The server can hold a request until what is rejected has changed. The next one is not held,
        so that the rejected configuration is checked again sometimes.
        """
        if str(error) != self.problem:
            _LOG.warning("%s: keeping the current configuration: %s", job.name, error)
        self.problem = str(error)
        timing, same = self.timing, self.rejected is not None and error is self.rejected
        pause = timing.after_failure(job, self.failures, error.retry_after)
        self.failures += 1
        self.rejected = None
        if same:
            return 0.0 if seconds >= _EARLY * timing.wait else pause
        if timing.wait and isinstance(error, InvalidPayloadError) and error.etag is not None:
            self.rejected = error
            return _around(_SHORT_PAUSE)
        return pause

    def succeeded(self, job: Job) -> None:
        """Note a response that can be used."""
        if self.failures:
            _LOG.info("%s: the server responds again", job.name)
        self.failures, self.problem, self.rejected = 0, "", None

    def pause(self, job: Job, wait: float, news: tuple[Loaded, Loaded], seconds: float) -> float:
        """Return the seconds to wait after a response; 0 to ask again at once."""
        timing, (known, found) = self.timing, news
        before, now = known.snapshot, found.snapshot
        # Without an entity tag the server could not hold the request.
        asked = wait > 0 and before.etag is not None and before.url == now.url
        is_same = now.body == before.body
        is_early = asked and found.waited and is_same and seconds < _EARLY * timing.wait
        self.early = self.early + 1 if is_early else 0
        if self.early and job.pauses:
            # The server stops, or does not hold requests although it says so.
            return backoff(self.early - 1, first=_FIRST_PAUSE, most=timing.interval)
        if found.waited or (timing.wait and not asked and now.etag is not None):
            return 0.0 if seconds >= _SHORT_PAUSE else _around(_SHORT_PAUSE)
        return _around(timing.interval)


def _around(seconds: float) -> float:
    """Return a random time with this mean, so that the clients of a fleet do not ask in step."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - jitter


def _renewed(make_job: Callable[[], Job], before: Job | None, timing: WatchTiming) -> Plan[Job]:
    """Return a new job; else the one before, or the first one that can be made.

    The token file may be missing at the moment.
    """
    failures = 0
    while True:
        try:
            return make_job()
        except ConfigClientError as error:
            if before is not None:
                _LOG.warning("%s: using the previous token: %s", before.name, error)
                return before
            _LOG.warning("watching starts when this is fixed: %s", error)
        yield Sleep(seconds=timing.after_failure(None, failures))
        failures += 1


# --- the watchers ---------------------------------------------------------------------


class AsyncWatcher:
    """The changes of a configuration, for asyncio; `ConfigClient.watch` returns it.

    An asynchronous iterator for one task. It sends requests only while that task waits for the
    next change. Changes that the task did not wait for are given as one. Cancelling the wait ends
    the watcher, as it ends a generator.
    """

    def __init__(self, session: Session, timing: WatchTiming) -> None:
        """Call `ConfigClient.watch` instead."""
        self._session = session
        self._timing = timing
        self._driver = AsyncDriver(session)
        self._plan: Plan[Never] | None = None
        self._seen = session.holder.loaded
        self._step: asyncio.Future[None] | None = None
        self._woken: asyncio.Future[None] | None = None
        self._stop_listening: Callable[[], object] = lambda: None
        self._ended = False

    @property
    def status(self) -> ClientStatus:
        """The status of the client."""
        return self._session.holder.status

    async def refresh(self) -> Properties:
        """Ask the server now; see `ConfigClient.refresh`. Any task may call it."""
        return await AsyncDriver(self._session).run(refresh(self._session))

    async def aclose(self) -> None:
        """End watching. May be called again."""
        import asyncio  # noqa: PLC0415 - takes 40 ms; a program that calls this has imported it

        self._ended = True
        self._stop_listening()
        step, self._step = self._step, None
        if step is not None:
            step.cancel()
            await asyncio.wait([step])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        """Return the next change.

        Raises:
            ConfigClientError: The first fetch failed, or the client is offline.
        """
        try:
            if self._plan is None and not self._ended:
                await self._begin()
            while not self._ended:  # another task may close it
                if (change := self._unseen()) is not None:
                    return change
                await self._advance()
        except BaseException:
            await self.aclose()
            raise
        await self.aclose()
        raise StopAsyncIteration

    async def _begin(self) -> None:
        holder = self._session.holder
        if holder.loaded is None:
            await self._driver.run(fetch(self._session))
        if self._seen is None:
            self._seen = holder.loaded
        self._plan = watch_session(self._session, self._timing)
        wake = weakref.WeakMethod(self._wake)  # does not keep the watcher alive
        stop_listening = register(holder.on_change, lambda _: (found := wake()) and found())
        self._stop_listening = finalizer = weakref.finalize(self, stop_listening)
        finalizer.atexit = False

    def _unseen(self) -> Change | None:
        seen, self._seen = self._seen, self._session.holder.loaded
        return difference(seen, self._seen)

    async def _advance(self) -> None:
        """Perform the next step; return earlier if another task changes the configuration."""
        import asyncio  # noqa: PLC0415 - takes 40 ms; a program that calls this has imported it

        assert self._plan is not None  # noqa: S101 - `__anext__` has made it
        step = self._step or asyncio.ensure_future(self._driver.perform(next(self._plan)))
        self._step = step
        self._woken = asyncio.get_running_loop().create_future()
        await asyncio.wait([step, self._woken], return_when=asyncio.FIRST_COMPLETED)
        if self._step is step and step.done():  # otherwise it is closed, or goes on
            self._step = None
            step.result()

    def _wake(self) -> None:
        """Look at the configuration again: end the wait. May be called from any thread."""
        woken = self._woken
        if woken is not None and not woken.done() and not woken.get_loop().is_closed():
            woken.get_loop().call_soon_threadsafe(woken.cancel)


class Watcher:
    """The thread that `SyncConfigClient.watch` starts; a context manager that stops it."""

    def __init__(
        self,
        session: Session,
        timing: WatchTiming,
        on_change: Callable[[Change], object] | None = None,
        *,
        restarts: bool = True,
    ) -> None:
        """Call `SyncConfigClient.watch` instead."""
        self._session = session
        self._timing = timing
        self._restarts = restarts
        self._stop_listening: Callable[[], object] = lambda: None
        self._running = False
        plan = watch_session(session, timing)
        if on_change is not None:
            self._stop_listening = register(session.holder.on_change, on_change)
        _watchers.add(self)
        self._start(plan)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """True if the thread runs."""
        return self._thread.is_alive()

    @property
    def status(self) -> ClientStatus:
        """The status of the client."""
        return self._session.holder.status

    def refresh(self) -> Properties:
        """Ask the server now; see `SyncConfigClient.refresh`. Any thread may call it."""
        return BlockingDriver(self._session).run(refresh(self._session))

    def stop(self) -> None:
        """End the thread. Waits for a running callback, for five seconds at most."""
        self._running = False
        _watchers.discard(self)
        self._stop_listening()
        self._driver.stop()
        if self._thread is not threading.current_thread():
            self._thread.join(_STOP_SECONDS)

    def restart(self) -> None:
        """Start the thread again in a forked process, which does not inherit threads.

        Not if the watcher belongs to live values, which start another one when they need it.
        """
        if self._running and self._restarts:
            _LOG.info("watching again in a forked process")
            self._start(watch_session(self._session, self._timing))

    def _start(self, plan: Plan[Never]) -> None:
        self._running = True
        self._driver = BlockingDriver(self._session)
        self._thread = threading.Thread(
            target=_perform_all, args=(self._driver, plan), name="pyfly-config-watch", daemon=True
        )
        self._thread.start()


def _perform_all(driver: BlockingDriver, plan: Plan[Never]) -> None:
    try:
        for step in plan:
            if driver.stopped.is_set():
                return
            driver.perform(step)
    except BaseException as error:  # also `SystemExit`, which ends a thread without a word
        _LOG.error("watching ended: %s was raised", type(error).__name__)
        raise


_watchers: Final[set[Watcher]] = set()  # those that run, also if the program does not keep them


def _restart_all() -> None:
    for watcher in list(_watchers):
        watcher.restart()


start_after_fork(_restart_all)
