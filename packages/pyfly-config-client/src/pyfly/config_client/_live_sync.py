"""Live values of a `SyncConfigClient`; their watcher is a thread."""

import inspect
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from pyfly.config_client._live import Live
from pyfly.config_client._live_binding import Binding
from pyfly.config_client._live_values import LiveValues
from pyfly.config_client._watch import Watcher, WatchTiming

if TYPE_CHECKING:
    from pyfly.config_client._client import SyncConfigClient

T = TypeVar("T")


class SyncLiveValues(LiveValues):
    """The open live values of a `SyncConfigClient`; the watcher is a thread.

    Args:
        client: The client.
        start: Starts a watcher that is not started again in forked processes.
    """

    def __init__(self, client: "SyncConfigClient", start: Callable[[WatchTiming], Watcher]) -> None:
        super().__init__(client, client.fetch)
        self._watched: Final = client
        self._start: Final = start
        self._watcher: Watcher | None = None

    def open(self, binding: Binding[Any], timing: WatchTiming | None) -> None:
        """Fetch if necessary, and add a binding; see `add`."""
        if not self.has(binding) and self.needs_fetch:
            self._watched.fetch()
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
        self._watcher = self._start(timing)

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
