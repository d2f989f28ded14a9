"""A background thread that keeps the configuration of a program current."""

import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Final, Self

from pyfly.config_client._blocking import Driver
from pyfly.config_client._loading.effects import Deliver, Plan
from pyfly.config_client._loading.loaded import Loaded
from pyfly.config_client._result.change import Change

_LOG: Final = logging.getLogger("pyfly.config_client")
_STOP_SECONDS: Final = 5.0


class Watcher:
    """The thread that `SyncConfigClient.watch` has started; a context manager that stops it."""

    def __init__(
        self,
        *,
        plan: Callable[[], Plan[Loaded]],
        driver: Callable[[], Driver],
        use: Callable[[Loaded], object],
        on_change: Callable[[Change], object] | None,
    ) -> None:
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
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread; waits for a callback that runs, five seconds at most."""
        self._running = False
        self._driver.stop()
        if self._thread is not threading.current_thread():
            self._thread.join(_STOP_SECONDS)

    def restart(self) -> None:
        """Start the thread again in a process that was forked off and has none."""
        if self._running:
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

    def _work(self, driver: Driver, plan: Plan[Loaded]) -> None:
        for effect in plan:
            if driver.stopped.is_set():
                return
            if isinstance(effect, Deliver):
                self._deliver(effect)
            else:
                driver.perform(effect)

    def _deliver(self, effect: Deliver) -> None:
        self._use(effect.loaded)
        if self._on_change is None or not effect.change.keys:
            return
        try:
            self._on_change(effect.change)
        except Exception as error:  # noqa: BLE001 - the program's own; watching goes on
            _LOG.error("a callback failed: %s", type(error).__name__)


_watchers: "weakref.WeakSet[Watcher]" = weakref.WeakSet()


def _restart_all() -> None:
    for watcher in list(_watchers):
        watcher.restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
