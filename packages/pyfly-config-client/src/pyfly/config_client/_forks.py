"""What a fork waits for, and what the forked process does first.

A forked process first forgets, and only then starts anything. The system calls the functions of
`os.register_at_fork` in the order of registration, which is the order of imports. A thread that one
of them starts could use what a later one forgets, such as a connection of the parent process.
"""

import contextlib
import importlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

_forgetting: Final[list[Callable[[], object]]] = []
_starting: Final[list[Callable[[], object]]] = []


def forget_after_fork(function: Callable[[], object]) -> None:
    """Call a function in forked processes that forgets locks and connections of the parent."""
    _forgetting.append(function)


def start_after_fork(function: Callable[[], object]) -> None:
    """Call a function in forked processes, after everything was forgotten."""
    _starting.append(function)


def _begin() -> None:
    with contextlib.ExitStack() as stack:  # calls all, also if one of them raises
        for function in reversed((*_forgetting, *_starting)):
            stack.callback(function)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin)


_PAUSE: Final = 0.001
_LONGEST_OPENING: Final = 2.0
"""Seconds. The C library locks for the first and the last moment of a lookup, which is short; a
connection that has been opened for longer waits for a server."""
_LONGEST_OWN_OPENING: Final = 0.25
"""The same if the event loop that opens the connection cannot go on before the fork is done."""
_LONGEST_FIRST_READ: Final = 0.25
"""The same while a response is awaited over TLS, because the first read ends the handshake."""
_LONGEST_FORK: Final = 5.0
"""Seconds; an older fork has been interrupted, and does not say that it is done."""

# Steps of the `trace` extension of httpx.
_LOOKUP: Final = "connection.connect_tcp"
_TLS_STEPS: Final[Mapping[str, float | None]] = {
    "connection.start_tls": None,
    "http11.send_request_headers": None,
    "http11.receive_response_headers": _LONGEST_FIRST_READ,
}
"""In which OpenSSL may take locks, and how long a fork waits if that is not `_LONGEST_OPENING`."""


class _Opening(NamedTuple):
    """A connection that is being opened."""

    thread: int
    in_loop: bool
    began: float
    longest: float | None

    def delays_fork(self, thread: int) -> bool:
        """True if a thread that forks has to wait for this."""
        age = time.monotonic() - self.began
        if self.thread != thread:
            return age < (_LONGEST_OPENING if self.longest is None else self.longest)
        return self.in_loop and age < _LONGEST_OWN_OPENING


class Openings:
    """The connections that are being opened or use TLS. No process is forked meanwhile.

    The C library holds a lock while it looks up a host. If another thread forks at that moment,
    nobody releases the lock in the child, and every lookup there blocks for ever. The same is true
    of OpenSSL while it makes contexts, negotiates, and is used by a thread for the first time.

    There is no lock here, because a signal handler may fork at any moment. An opening is entered
    before it looks for forks, and a fork is entered before it looks for openings; so at least one
    of the two sees the other. Every wait ends by itself.
    """

    def __init__(self) -> None:
        self._openings: Final[dict[object, _Opening]] = {}
        self._forks: Final[dict[int, float]] = {}

    def begin(
        self, key: object, *, in_loop: bool = False, longest: float | None = None
    ) -> Iterator[float]:
        """Enter a connection that is about to be opened.

        Yields seconds to sleep, again and again while the process is being forked. Another
        thread's fork waits for the connection, two seconds unless `longest` is given. Also a fork
        of this thread waits if an event loop opens it, whose threads look up the host.
        """
        thread = threading.get_ident()
        while True:
            now = time.monotonic()
            self._openings[key] = _Opening(
                thread=thread, in_loop=in_loop, began=now, longest=longest
            )
            if not any(now - began < _LONGEST_FORK for began in self._forks.copy().values()):
                return
            self.end(key)
            yield _PAUSE

    def end(self, key: object) -> None:
        """Forget a connection that is open, or could not be opened."""
        self._openings.pop(key, None)

    def follow(
        self, key: object, event: str, url: str, *, in_loop: bool = False
    ) -> Iterable[float]:
        """Begin or end a step of an exchange that takes locks; return what `begin` yields.

        Only steps of `https:` use OpenSSL.
        """
        step, _, state = event.rpartition(".")
        if step != _LOOKUP and not (step in _TLS_STEPS and url.startswith("https:")):
            return ()
        if state == "started":
            waits = in_loop and step == _LOOKUP  # only lookups have threads of their own
            return self.begin(key, in_loop=waits, longest=_TLS_STEPS.get(step))
        self.end(key)
        return ()

    def before_fork(self) -> None:
        """Wait until no connection is being opened, and let none begin."""
        thread = threading.get_ident()
        while True:
            self._forks[thread] = time.monotonic()
            if not any(one.delays_fork(thread) for one in self._openings.copy().values()):
                return
            time.sleep(_PAUSE)

    def after_fork(self) -> None:
        """Let connections be opened again."""
        self._forks.pop(threading.get_ident(), None)

    def forget_process(self) -> None:
        """Forget the threads of the process from which this one was forked."""
        self._openings.clear()
        self._forks.clear()

    def delay_forks(self, module: str) -> None:
        """Let forks wait from now on. May be called again, for another module, which is imported.

        Before a fork, the functions that were registered last are called first. This one has to
        wait before those of the module lock what a connection may need.
        """
        if hasattr(os, "register_at_fork"):
            importlib.import_module(module)
            os.register_at_fork(before=self.before_fork, after_in_parent=self.after_fork)
            forget_after_fork(self.forget_process)


class LastingThreads:
    """Threads that wait for more work when they have done some, and never end.

    OpenSSL holds a lock while a thread that has used it ends, after Python has forgotten that
    thread. A child that is forked at that moment would block for ever. So there are as many
    threads as were needed at the same time.

    Args:
        name: The name of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self._idle: Final[list[_Handover]] = []
        forget_after_fork(self._idle.clear)

    def run(self, work: Callable[[], object]) -> None:
        """Do some work, which raises nothing, in an idle thread or in a new one."""
        try:
            thread = self._idle.pop()
        except IndexError:
            thread = _Handover()
            threading.Thread(target=self._work, args=[thread], name=self._name, daemon=True).start()
        thread.put(work)

    def _work(self, thread: "_Handover") -> None:
        while True:
            thread.get()()
            self._idle.append(thread)


class _Handover:
    """Hands work over to one thread, one piece at a time. Importing `queue` takes a millisecond."""

    def __init__(self) -> None:
        self._work: Callable[[], object] = _nothing
        self._is_there = threading.Semaphore(0)

    def put(self, work: Callable[[], object]) -> None:
        """Hand work over to the thread, which waits for it or will soon."""
        self._work = work
        self._is_there.release()

    def get(self) -> Callable[[], object]:
        """Wait for work. It is not kept here, because it may be large."""
        self._is_there.acquire()
        work, self._work = self._work, _nothing
        return work


def _nothing() -> None:
    pass
