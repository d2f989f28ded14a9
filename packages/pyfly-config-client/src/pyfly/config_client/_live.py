"""Live values: typed settings that follow the configuration of a client while a program runs.

The watcher of a `SyncConfigClient` is a thread, that of a `ConfigClient` a task.
"""

import contextlib
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from pyfly.config_client._fetch import fetch
from pyfly.config_client._live_values import Binding, LiveValues, Notice, Rejection, log_raised
from pyfly.config_client._steps import AsyncDriver, BlockingDriver, Session
from pyfly.config_client._watch import AsyncWatcher, Watcher, WatchTiming
from pyfly.config_client.errors import ConfigClientError

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
R = TypeVar("R")

_LOG: Final = logging.getLogger("pyfly.config_client")


class Live(Generic[T]):
    """A typed value that follows the configuration. `client.live` makes one.

    `value` is always one whole, validated instance. A configuration that does not fit the class is
    rejected before it is used. May be used from every thread.
    """

    def __init__(self, values: LiveValues, prefix: str, model: type[T]) -> None:
        """Call `ConfigClient.live` or `SyncConfigClient.live` instead."""
        self._shared: Final = values
        self._binding: Final = Binding(prefix, model)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._binding!r})"

    @property
    def value(self) -> T:
        """The current value. Reading takes no lock and does no input or output.

        Read it once for each piece of work, because two reads may return two values. It is the
        same object until a configuration comes that binds to a value which is not equal. After
        `close` or `aclose` it is the last value.

        Raises:
            ConfigClientError: There is no value yet: an `AsyncLive` was not entered.
        """
        self._wake()
        try:
            return self._binding.value
        except AttributeError:
            raise ConfigClientError(
                f"{self!r} has no value yet; enter it with 'async with'"
            ) from None

    @property
    def rejected(self) -> Rejection | None:
        """Why the current configuration is not used; `None` if `value` is that configuration."""
        return self._binding.rejected

    def on_change(self, callback: Callable[[T, T], R]) -> Callable[[T, T], R]:
        """Call a function with the old and the new value after each change. Returns the function.

        `value` is the new one already. Values are compared with `==`. Functions are called in the
        order in which they were added, one at a time. What they raise is logged.
        """
        self._check_callback(callback)
        self._binding.on_change.append(callback)
        self._wake()
        return callback

    def on_rejected(self, callback: Callable[[Rejection], R]) -> Callable[[Rejection], R]:
        """Call a function when a configuration is rejected. Returns the function."""
        self._check_callback(callback)
        self._binding.on_rejected.append(callback)
        self._wake()
        return callback

    def _wake(self) -> None:
        if self._shared.asleep:
            self._shared.wake()

    def _check_callback(self, callback: object) -> None:
        if not callable(callback):
            raise TypeError(f"a callback must be callable, not {type(callback).__name__}")


# --- in threads -----------------------------------------------------------------------


class SyncLiveValues(LiveValues):
    """The open live values of a `SyncConfigClient`; the watcher is a thread."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._watcher: Watcher | None = None

    def open(self, binding: Binding[Any], timing: WatchTiming | None) -> None:
        """Fetch if necessary, and add a binding; see `add`."""
        if self.needs_fetch(binding):
            BlockingDriver(self._session).run(fetch(self._session))
        self.add(binding, timing)

    def close(self, binding: Binding[Any]) -> None:
        """Forget a binding; end the watcher after the last one."""
        with self._lock:
            if not self.remove(binding):
                return
            watcher, self._watcher, self.asleep = self._watcher, None, False
        if watcher is not None:
            watcher.stop()

    def go_on(self) -> None:
        """Start a watcher at once if there are callbacks; see `LiveValues.go_on`."""
        if self.asleep and any(one.on_change or one.on_rejected for one in self._bindings):
            self.wake()  # otherwise no callback would be called before the first read

    def _attach(self) -> None:
        pass

    def _is_watching(self) -> bool:
        return self._watcher is not None and self._watcher.alive

    def _start_watcher(self, timing: WatchTiming) -> None:
        self._watcher = Watcher(self._session, timing, restarts=False)

    def _forget_watcher(self) -> bool:
        watched, self._watcher = self._watcher is not None, None
        return watched or self.asleep

    def _deliver(self) -> None:
        self._call_due()

    def _deliver_later(self) -> None:
        if self._notices:
            threading.Thread(
                target=self._call_due, name="pyfly-config-callback", daemon=True
            ).start()


class SyncLive(Live[T]):
    """A live value of a `SyncConfigClient`; a context manager that closes it.

    Callbacks are called in the thread that received the configuration, usually the watcher's.
    """

    def __init__(
        self, values: SyncLiveValues, prefix: str, model: type[T], timing: WatchTiming | None
    ) -> None:
        """Call `SyncConfigClient.live` instead."""
        super().__init__(values, prefix, model)
        self._values: Final = values
        self._timing: Final = timing
        self._open()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop following. The last live value of a client ends the shared watcher."""
        self._values.close(self._binding)

    def _open(self) -> None:
        self._values.open(self._binding, self._timing)

    def _check_callback(self, callback: object) -> None:
        super()._check_callback(callback)
        if inspect.iscoroutinefunction(callback):
            raise TypeError("a SyncLive does not await callbacks; use a function without async")


# --- in event loops -------------------------------------------------------------------


class AsyncLiveValues(LiveValues):
    """The open live values of a `ConfigClient`; the watcher is a task."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._callback: asyncio.Task[None] | None = None
        self._inherited: list[object] = []

    async def open(self, binding: Binding[Any], timing: WatchTiming | None) -> None:
        """Fetch if necessary, and add a binding; see `add`."""
        if self.needs_fetch(binding):
            await AsyncDriver(self._session).run(fetch(self._session))
        self.add(binding, timing)

    async def close(self, binding: Binding[Any]) -> None:
        """Forget a binding; end the watcher, and a callback that is running, after the last one."""
        import asyncio  # noqa: PLC0415 - takes 40 ms; a program that calls this has imported it

        with self._lock:
            if not self.remove(binding):
                return
            found = [self._watcher, self._callback if not self._bindings else None]
            self._watcher, self.asleep = None, False
        current = asyncio.current_task()
        tasks = [task for task in found if task is not None and task is not current]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def go_on(self) -> None:
        """Do nothing: no event loop runs yet in a forked process."""

    def _attach(self) -> None:
        import asyncio  # noqa: PLC0415 - as in `close`

        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            if self._bindings and not self._loop.is_closed():
                raise ConfigClientError(
                    "the live values of one client need one event loop; make another client here"
                )
            self._bindings.clear()
            self._notices.clear()
            self._turn = threading.Lock()
            self._watcher = self._callback = None
        self._loop = loop

    def _is_watching(self) -> bool:
        return self._watcher is not None and not self._watcher.done()

    def _start_watcher(self, timing: WatchTiming) -> None:
        assert self._loop is not None  # noqa: S101 - `_attach` was called
        watching = self._watch(timing)
        self._watcher = self._loop.create_task(watching, name="pyfly-config-watch")

    async def _watch(self, timing: WatchTiming) -> None:
        try:
            async for _ in AsyncWatcher(self._session, timing):
                pass  # the session passes every configuration on to `update`
        except Exception as error:
            _LOG.error("watching ended: the transport raised %s", type(error).__name__)
            raise

    def _forget_watcher(self) -> bool:
        # Kept, because a pending task that is destroyed complains in the log.
        self._inherited += (self._loop, self._watcher, self._callback)
        self._loop = self._watcher = self._callback = None
        return bool(self._bindings)

    def _deliver(self) -> None:
        import asyncio  # noqa: PLC0415 - as in `close`

        loop = self._loop
        if loop is None or not self._notices:
            return  # after a fork, `wake` delivers
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            self._call_due()
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._call_due)

    def _deliver_later(self) -> None:
        if self._loop is not None:
            self._loop.call_soon(self._call_due)

    def _wait_for(self, notice: Notice, result: object) -> bool:
        if self._loop is None or not inspect.isawaitable(result):
            return False
        self._callback = self._loop.create_task(
            _finish(notice, result), name="pyfly-config-callback"
        )
        self._callback.add_done_callback(partial(self._finished, result, self._turn))
        return True

    def _finished(self, result: object, turn: threading.Lock, _: object) -> None:
        if inspect.iscoroutine(result):
            result.close()  # the task may have been cancelled before it began
        self._callback = None
        turn.release()
        self._call_due()


async def _finish(notice: Notice, result: Awaitable[object]) -> None:
    """Wait for the result of a callback; log what it raises."""
    import asyncio  # noqa: PLC0415 - takes 40 ms; a program that calls this has imported it

    try:
        await result
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
            raise  # the last live value is closed
        log_raised(notice, error)


class AsyncLive(Live[T]):
    """A live value of a `ConfigClient`; an asynchronous context manager, which may be reused.

    Callbacks are called in the event loop, and awaited if they return an awaitable.
    """

    def __init__(
        self, values: AsyncLiveValues, prefix: str, model: type[T], timing: WatchTiming | None
    ) -> None:
        """Call `ConfigClient.live` instead."""
        super().__init__(values, prefix, model)
        self._values: Final = values
        self._timing: Final = timing

    async def __aenter__(self) -> Self:
        """Fetch if the client has no configuration, take the first value, and follow.

        Raises:
            ConfigClientError: There is no configuration, or it does not fit the class.
        """
        await self._values.open(self._binding, self._timing)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop following. The last live value of a client ends the shared watcher."""
        await self._values.close(self._binding)
