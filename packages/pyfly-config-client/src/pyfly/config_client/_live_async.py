"""Live values of a `ConfigClient`; their watcher is a task."""

import contextlib
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from pyfly.config_client._live import Live
from pyfly.config_client._live_binding import Binding, Notice
from pyfly.config_client._live_values import LiveValues, log_raised
from pyfly.config_client._watch import WatchTiming
from pyfly.config_client.errors import ConfigClientError

if TYPE_CHECKING:
    import asyncio

    from pyfly.config_client._client import ConfigClient

T = TypeVar("T")

_LOG: Final = logging.getLogger("pyfly.config_client")


class AsyncLiveValues(LiveValues):
    """The open live values of a `ConfigClient`; the watcher is a task."""

    def __init__(self, client: "ConfigClient", refetch: Callable[[], object]) -> None:
        super().__init__(client, refetch)
        self._watched: Final = client
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._callback: asyncio.Task[None] | None = None
        self._inherited: list[object] = []

    async def open(self, binding: Binding[Any], timing: WatchTiming | None) -> None:
        """Fetch if necessary, and add a binding; see `add`."""
        if not self.has(binding) and self.needs_fetch:
            await self._watched.fetch()
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
            async for _ in self._watched.watch(interval=timing.interval, wait=timing.wait):
                pass  # the client passes every configuration on to `update`
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
