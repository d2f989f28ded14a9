"""Doing what the core asks for without an event loop."""

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from pyfly.config_client._loading.answer import Answer
from pyfly.config_client._loading.effects import (
    Deliver,
    Effect,
    Keep,
    Plan,
    ReadStored,
    Send,
    Sleep,
    Work,
)
from pyfly.config_client.errors import ConfigClientError

T = TypeVar("T")


class Exchange(Protocol):
    """A request on its way."""

    def run(self) -> Answer:
        """Return the answer, or raise `ConfigClientError`."""
        ...

    def abort(self) -> None:
        """End it now, from any thread."""
        ...


class Answered:
    """An exchange that is over."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def run(self) -> Answer:
        """Return the answer."""
        return self._answer

    def abort(self) -> None:
        """Do nothing."""


class Driver:
    """Runs plans; another thread can stop it."""

    def __init__(
        self,
        exchange: Callable[[Send], Exchange],
        touch_disk: Callable[[ReadStored | Keep], None],
    ) -> None:
        self._start_exchange = exchange
        self._touch_disk = touch_disk
        self._exchange: Exchange | None = None
        self.stopped = threading.Event()

    def run(self, plan: Plan[T]) -> T:
        """Do all that a plan asks for; return its result."""
        while True:
            try:
                effect = next(plan)
            except StopIteration as done:
                result: T = done.value
                return result
            self.perform(effect)

    def perform(self, effect: Effect) -> None:
        """Do one thing."""
        match effect:
            case Send():
                effect.result = self._send(effect)
            case Sleep():
                self.stopped.wait(effect.seconds)
            case Work():
                effect.perform()
            case ReadStored() | Keep():
                self._touch_disk(effect)
            case Deliver():
                raise AssertionError("only a watcher is given changes")

    def stop(self) -> None:
        """End waiting, and the exchange that is going on."""
        self.stopped.set()
        if self._exchange is not None:
            self._exchange.abort()

    def _send(self, send: Send) -> Answer | ConfigClientError:
        try:
            self._exchange = self._start_exchange(send)
            if self.stopped.is_set():
                self._exchange.abort()
            return self._exchange.run()
        except ConfigClientError as error:
            return error
