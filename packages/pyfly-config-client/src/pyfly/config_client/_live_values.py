"""The live values of one client: they share its configuration and one watcher.

Every new configuration of a client, whichever call received it, is passed on to all its open live
values under one lock. Callbacks are called after that, in order and one at a time.
"""

import contextlib
import logging
import threading
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Generic, TypeVar

from pyfly.config_client._fetch import fetch
from pyfly.config_client._forks import forget_after_fork, start_after_fork
from pyfly.config_client._properties import Properties
from pyfly.config_client._steps import BlockingDriver, Session
from pyfly.config_client._types import type_name
from pyfly.config_client._watch import WatchTiming
from pyfly.config_client.errors import ConfigClientError, printable

_LOG: Final = logging.getLogger("pyfly.config_client")

T = TypeVar("T")


# --- one value ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why the current configuration is not used for a live value. Shows no values."""

    reason: str
    """Names all properties that are missing or cannot be converted."""
    version: str | None
    """The version of the rejected configuration; `None` if the server did not send one."""
    when: datetime
    """When it was rejected, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Notice:
    """One call of a callback that is due."""

    binding: "Binding[Any]"
    name: str
    """`on_change` or `on_rejected`, for the log."""
    call: Callable[[], object]


class Binding(Generic[T]):
    """The value of a class, bound to the properties below a prefix, and its callbacks."""

    value: T
    """Absent before `begin`."""

    def __init__(self, prefix: str, model: type[T]) -> None:
        self.prefix: Final = prefix
        self.model: Final = model
        self.watches = False
        """True if it needs a watcher while it is open."""
        self.rejected: Rejection | None = None
        self.on_change: Final[list[Callable[[T, T], object]]] = []
        self.on_rejected: Final[list[Callable[[Rejection], object]]] = []

    def __repr__(self) -> str:
        return f"{self.prefix!r}, {type_name(self.model)}"

    def begin(self, properties: Properties) -> None:
        """Take the first value.

        Raises:
            ConfigClientError: The properties do not fit the class; see `Properties.bind`.
        """
        self.value = properties.bind(self.prefix, self.model)
        self.rejected = None

    def follow(self, properties: Properties) -> list[Notice]:
        """Take the value of a new configuration, or reject it. Returns the callbacks to call."""
        try:
            new = properties.bind(self.prefix, self.model)
            same = bool(new == self.value)
        except Exception as error:  # noqa: BLE001 - the class of the program may raise anything
            return self._reject(properties, error)
        old = self.value
        if not same:
            self.value = new
        self.rejected = None
        calls = [] if same else [partial(one, old, new) for one in self.on_change]
        return [Notice(binding=self, name="on_change", call=one) for one in calls]

    def _reject(self, properties: Properties, error: Exception) -> list[Notice]:
        known = isinstance(error, ConfigClientError)
        version = properties.version
        rejection = Rejection(
            # The text of another error may show values.
            reason=str(error) if known else f"the class raised {type(error).__name__}",
            version=version,
            when=datetime.now(UTC),
        )
        self.rejected = rejection
        _LOG.warning(
            "live value (%r): keeping the previous value; %s is rejected: %s",
            self,
            f"version {printable(version)}" if version else "the new configuration",
            rejection.reason,
        )
        calls = [partial(one, rejection) for one in self.on_rejected]
        return [Notice(binding=self, name="on_rejected", call=one) for one in calls]


# --- the values of one client ---------------------------------------------------------


class LiveValues(ABC):
    """The open live values of one client."""

    def __init__(self, session: Session) -> None:
        self._session: Final = session
        self.asleep = False
        """True in a forked process, until `wake` starts a watcher there."""
        self._bindings: Final[list[Binding[Any]]] = []
        self._notices: Final[deque[Notice]] = deque()
        self._timing: WatchTiming | None = None
        self._lock = threading.RLock()
        self._turn = threading.Lock()  # held by the caller of callbacks
        with _all_lock:
            _all.add(self)

    def needs_fetch(self, binding: Binding[Any]) -> bool:
        """True if a fetch has to come before a binding is opened.

        The configuration of the client is missing, or may be that of an earlier test.
        """
        if binding in self._bindings:
            return False
        session = self._session
        return session.holder.loaded is None or session.config.make_transport().in_memory

    def add(self, binding: Binding[Any], timing: WatchTiming | None) -> None:
        """Take the first value of a binding, and keep it current, unless it is open already.

        `timing` is for a watcher that this call starts; `None` to start none.

        Raises:
            ConfigClientError: The configuration does not fit the class.
        """
        with self._lock:
            self._attach()
            properties = self._session.properties
            if binding in self._bindings or properties is None:
                return
            binding.begin(properties)
            binding.watches = timing is not None
            if timing is not None:
                self._ensure_watcher(timing)
            self._bindings.append(binding)

    def remove(self, binding: Binding[Any]) -> bool:
        """Forget a binding. True if no other one needs the watcher."""
        with self._lock:
            if binding in self._bindings:
                self._bindings.remove(binding)
            return not any(one.watches for one in self._bindings)

    def update(self) -> None:
        """Pass the current configuration of the client on to all live values."""
        self._follow()
        self._deliver()

    def wake(self) -> None:
        """Go on in a forked process. Does nothing while that is impossible."""
        with self._lock, contextlib.suppress(RuntimeError):  # no event loop, or no thread left
            if not self.asleep:
                return
            self._attach()
            if self._timing is not None and any(one.watches for one in self._bindings):
                self._ensure_watcher(self._timing)
            self.asleep = False
            self._follow()  # the other process may have stopped halfway
            self._deliver_later()

    def refresh(self) -> None:
        """Fetch from a transport that reports its changes, if the client has one."""
        if not self._bindings or not self._is_told():
            return
        try:  # such a transport does not wait; also in an event loop
            BlockingDriver(self._session).run(fetch(self._session))
        except ConfigClientError as error:
            _LOG.warning("live values: keeping the current configuration: %s", error)

    def forget_process(self) -> None:
        """Forget what belongs to the process from which this one was forked."""
        self._lock = threading.RLock()
        self._turn = threading.Lock()
        self.asleep = self._forget_watcher()

    def _follow(self) -> None:
        with self._lock:
            properties = self._session.properties
            if properties is not None:
                for binding in tuple(self._bindings):
                    self._notices.extend(binding.follow(properties))

    def _is_told(self) -> bool:
        """True if the transport calls `refresh_live_values`, so that no watcher is needed."""
        return bool(getattr(self._session.config.make_transport(), "tells_changes", False))

    def _ensure_watcher(self, timing: WatchTiming) -> None:
        if not self._is_told() and not self._is_watching():
            self._timing = timing
            self._start_watcher(timing)

    def _call_due(self) -> None:
        """Call all callbacks that are due; if another caller does that, leave it to that one."""
        while self._notices and self._turn.acquire(blocking=False):
            waits = False
            try:
                while self._notices and not waits:
                    notice = self._notices[0]
                    result = _call(notice) if notice.binding in self._bindings else None
                    self._notices.popleft()
                    waits = self._wait_for(notice, result)
            finally:
                if not waits:
                    self._turn.release()

    def _wait_for(self, notice: Notice, result: object) -> bool:
        """True if the result of a callback is waited for; `_turn` is released after that."""
        del notice, result
        return False

    @abstractmethod
    def go_on(self) -> None:
        """Start in a forked process what cannot wait for the first read."""

    @abstractmethod
    def _attach(self) -> None:
        """Use the running event loop, if the client needs one."""

    @abstractmethod
    def _is_watching(self) -> bool:
        """True if a watcher of this process runs."""

    @abstractmethod
    def _start_watcher(self, timing: WatchTiming) -> None:
        """Start a watcher."""

    @abstractmethod
    def _forget_watcher(self) -> bool:
        """Forget a watcher of another process. True if `wake` has to be called here."""

    @abstractmethod
    def _deliver(self) -> None:
        """Let the callbacks that are due be called, in the right thread."""

    @abstractmethod
    def _deliver_later(self) -> None:
        """The same, after the caller, which only reads a value, has gone on."""


def _call(notice: Notice) -> object:
    try:
        return notice.call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - the program's own code may raise anything
        log_raised(notice, error)
        return None


def log_raised(notice: Notice, error: BaseException) -> None:
    """Log what a callback raised; without its text and traceback, which may show values."""
    _LOG.error("live value (%r): %s raised %s", notice.binding, notice.name, type(error).__name__)


# --- all clients of this process ------------------------------------------------------


_all: "weakref.WeakSet[LiveValues]" = weakref.WeakSet()
_all_lock = threading.Lock()


def _of_all_clients() -> tuple[LiveValues, ...]:
    with _all_lock:
        return tuple(_all)


def refresh_live_values() -> None:
    """Fetch now for all live values whose transport has the attribute `tells_changes`.

    Such a transport calls this after every change; live values then need no watcher.
    """
    for values in _of_all_clients():
        values.refresh()


def _forget_process() -> None:
    global _all_lock  # noqa: PLW0603 - another thread of the parent may have held it
    _all_lock = threading.Lock()
    for values in _of_all_clients():
        values.forget_process()


def _go_on() -> None:
    for values in _of_all_clients():
        values.go_on()


forget_after_fork(_forget_process)
start_after_fork(_go_on)
