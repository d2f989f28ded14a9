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

from pyfly.config_client._acceptance import Job, Loaded
from pyfly.config_client._changes import Change, ClientStatus, ConfigurationHolder, difference
from pyfly.config_client._fetch import revalidate
from pyfly.config_client._forks import start_after_fork
from pyfly.config_client._properties import Properties
from pyfly.config_client._rounds import Revalidation, backoff
from pyfly.config_client._steps import AsyncDriver, BlockingDriver, Plan, Sleep, UseConfiguration
from pyfly.config_client.errors import ConfigClientError, InvalidPayloadError

if TYPE_CHECKING:
    import asyncio

    from pyfly.config_client._client import ConfigClient, SyncConfigClient

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
    """How often a watcher asks."""

    interval: float
    """Mean seconds between two requests, if the server does not hold them."""
    wait: float
    """Seconds that the server may hold a request."""

    def after_failure(self, job: Job | None, failures: int, retry_after: float = 0.0) -> float:
        """Return the seconds to wait after a failure, with full jitter.

        Jitter is added to what the server asks for, because it tells all clients the same.

        Args:
            job: What failed; `None` if there is none yet.
            failures: The number of failures before this one, without a success between them.
            retry_after: The seconds that the server asks for.
        """
        if job is not None and not job.pauses:
            return _SHORT_PAUSE
        most = min(max(self.interval, _FIRST_PAUSE), _MAX_PAUSE)
        return min(retry_after, _MAX_RETRY_AFTER) + backoff(failures, first=_FIRST_PAUSE, most=most)


def watch(
    make_job: Callable[[], Job], current: Callable[[], Loaded], timing: WatchTiming
) -> Plan[Never]:
    """Keep a configuration current. Never ends.

    Args:
        make_job: Called before every request, because a credential may have been renewed.
        current: Returns the configuration in use, which a fetch may have replaced, too.
        timing: How often to ask.
    """
    job = yield from _first_job(make_job, timing)
    failures = early = 0
    problem = ""
    rejected: InvalidPayloadError | None = None
    while True:
        job = _renewed(make_job, job)
        known = current()
        began = time.monotonic()
        # News of the server itself must not wait for a change of the configuration.
        may_wait = rejected or not (failures or known.properties.from_snapshot)
        wait = timing.wait if may_wait else 0.0
        asked_for = Revalidation(loaded=known, wait=wait, rejected=rejected)
        try:
            found = yield from revalidate(job, asked_for)
        except ConfigClientError as error:
            if str(error) != problem:
                _LOG.warning("%s: keeping the current configuration: %s", job.name, error)
            problem = str(error)
            is_same = rejected is not None and error is rejected
            was_held = is_same and time.monotonic() - began >= _EARLY * timing.wait
            rejected = None if is_same else _to_wait_for(error, timing)
            if rejected is not None:
                yield Sleep(seconds=_around(_SHORT_PAUSE))
            elif not was_held:
                yield Sleep(seconds=timing.after_failure(job, failures, error.retry_after))
            failures += 1
            continue
        rejected = None
        if failures:
            _LOG.info("%s: the server responds again", job.name)
        failures, problem = 0, ""
        yield UseConfiguration(loaded=found, known=known)
        seconds = time.monotonic() - began
        asked = wait > 0 and _could_be_held(found, known)
        is_same = found.snapshot.body == known.snapshot.body
        is_early = asked and found.waited and is_same and seconds < _EARLY * timing.wait
        early = early + 1 if is_early else 0
        pause = _pause(timing, found, asked=asked, early=early if job.pauses else 0)
        if pause or seconds < _SHORT_PAUSE:
            yield Sleep(seconds=pause or _around(_SHORT_PAUSE))


def _to_wait_for(error: ConfigClientError, timing: WatchTiming) -> InvalidPayloadError | None:
    """Return the error if the server can hold a request until what it rejects has changed.

    The request after that one is not held, so that a configuration is checked again sometimes.
    """
    if not timing.wait or not isinstance(error, InvalidPayloadError) or error.etag is None:
        return None
    return error


def _could_be_held(found: Loaded, known: Loaded) -> bool:
    """True if the request had an entity tag, so that the server could hold it."""
    return known.snapshot.etag is not None and known.snapshot.url == found.snapshot.url


def _pause(timing: WatchTiming, found: Loaded, *, asked: bool, early: int) -> float:
    """Return the seconds to wait after a response; 0 if the next request can be held at once."""
    if early:  # the server stops, or does not hold requests although it says so
        return backoff(early - 1, first=_FIRST_PAUSE, most=timing.interval)
    if found.waited or (timing.wait and not asked and found.snapshot.etag is not None):
        return 0.0
    return _around(timing.interval)


def _around(seconds: float) -> float:
    """Return a random time with this mean, so that the clients of a fleet do not ask in step."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - jitter


def _first_job(make_job: Callable[[], Job], timing: WatchTiming) -> Plan[Job]:
    """Return a job as soon as one can be made; the token file may be missing at the moment."""
    failures = 0
    while True:
        try:
            return make_job()
        except ConfigClientError as error:
            _LOG.warning("watching starts when this is fixed: %s", error)
        yield Sleep(seconds=timing.after_failure(None, failures))
        failures += 1


def _renewed(make_job: Callable[[], Job], job: Job) -> Job:
    try:
        return make_job()
    except ConfigClientError as error:
        _LOG.warning("%s: using the previous token: %s", job.name, error)
        return job


# --- the watchers ---------------------------------------------------------------------


class AsyncWatcher:
    """The changes of a configuration, for asyncio; `ConfigClient.watch` returns it.

    An asynchronous iterator for one task. It sends requests only while that task waits for the
    next change. Changes that the task did not wait for are given as one. Cancelling the wait ends
    the watcher, as it ends a generator.
    """

    def __init__(
        self,
        client: "ConfigClient",
        holder: ConfigurationHolder,
        driver: AsyncDriver,
        make_plan: Callable[[], Plan[Never]],
    ) -> None:
        self._client = client
        self._holder = holder
        self._driver = driver
        self._make_plan = make_plan
        self._plan: Plan[Never] | None = None
        self._seen = holder.loaded
        self._step: asyncio.Future[None] | None = None
        self._woken: asyncio.Future[None] | None = None
        self._stop_listening: Callable[[], object] = _nothing
        self._ended = False

    @property
    def status(self) -> ClientStatus:
        """The status of the client."""
        return self._client.status

    async def refresh(self) -> Properties:
        """Ask the server now; see `ConfigClient.refresh`. Any task may call it."""
        return await self._client.refresh()

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
        if self._ended:
            raise StopAsyncIteration
        try:
            if self._plan is None:
                await self._begin()
            while (change := self._unseen()) is None:
                await self._advance()
        except BaseException:
            await self.aclose()
            raise
        return change

    async def _begin(self) -> None:
        if self._holder.loaded is None:
            await self._client.fetch()
        if self._seen is None:
            self._seen = self._holder.loaded
        self._plan = self._make_plan()
        stop_listening = self._client.on_change(_waker(self))
        self._stop_listening = finalizer = weakref.finalize(self, stop_listening)
        finalizer.atexit = False

    def _unseen(self) -> Change | None:
        seen, self._seen = self._seen, self._holder.loaded
        return difference(seen, self._seen)

    async def _advance(self) -> None:
        """Perform the next step; return earlier if another task changes the configuration."""
        import asyncio  # noqa: PLC0415 - takes 40 ms; a program that calls this has imported it

        assert self._plan is not None  # noqa: S101 - `__anext__` has made it
        if self._step is None:
            self._step = asyncio.ensure_future(self._driver.perform(next(self._plan)))
        self._woken = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._step, self._woken], return_when=asyncio.FIRST_COMPLETED)
        if self._step.done():
            step, self._step = self._step, None
            step.result()

    def wake(self) -> None:
        """Look at the configuration again. May be called from any thread."""
        woken = self._woken
        if woken is not None and not woken.done() and not woken.get_loop().is_closed():
            woken.get_loop().call_soon_threadsafe(_finish, woken)


def _nothing() -> None:
    pass


def _finish(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)


def _waker(watcher: AsyncWatcher) -> Callable[[Change], None]:
    """Return a function that wakes a watcher, but does not keep it alive."""
    reference = weakref.ref(watcher)

    def wake(_: Change) -> None:
        found = reference()
        if found is not None:
            found.wake()

    return wake


class Watcher:
    """The thread that `SyncConfigClient.watch` starts; a context manager that stops it."""

    def __init__(
        self,
        client: "SyncConfigClient",
        make_driver: Callable[[], BlockingDriver],
        make_plan: Callable[[], Plan[Never]],
        on_change: Callable[[Change], object] | None = None,
        *,
        restarts: bool = True,
    ) -> None:
        self._restarts = restarts
        self._client = client
        self._make_driver = make_driver
        self._make_plan = make_plan
        self._stop_listening = _nothing if on_change is None else client.on_change(on_change)
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

    @property
    def status(self) -> ClientStatus:
        """The status of the client."""
        return self._client.status

    def refresh(self) -> Properties:
        """Ask the server now; see `SyncConfigClient.refresh`. Any thread may call it."""
        return self._client.refresh()

    def stop(self) -> None:
        """End the thread. Waits for a running callback, for five seconds at most."""
        self._running = False
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
            self._start()

    def _start(self) -> None:
        self._running = True
        self._driver = self._make_driver()
        plan = self._make_plan()
        self._thread = threading.Thread(
            target=_perform_all, args=(self._driver, plan), name="pyfly-config-watch", daemon=True
        )
        self._thread.start()


def _perform_all(driver: BlockingDriver, plan: Plan[Never]) -> None:
    for step in plan:
        if driver.stopped.is_set():
            return
        driver.perform(step)


_watchers: "weakref.WeakSet[Watcher]" = weakref.WeakSet()


def _restart_all() -> None:
    for watcher in list(_watchers):
        watcher.restart()


start_after_fork(_restart_all)
