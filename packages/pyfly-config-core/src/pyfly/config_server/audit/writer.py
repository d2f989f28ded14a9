"""`AuditWriter`: events as lines of JSON, written by a thread of its own."""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Final, Protocol

from pyfly.config_server.audit.events import AuditEvent
from pyfly.config_server.audit.sinks import AuditError

__all__ = ["AuditOutput", "AuditWriter"]

_LOG: Final = logging.getLogger(__name__)
_MAX_WAITING: Final = 1_000
"""Lines that wait for the thread."""
_STALL_SECONDS: Final = 5.0
"""An output that takes longer for a line has failed, until it has taken it."""
_RETRY_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 2.0


class AuditOutput(Protocol):
    """Takes lines: a file, or standard output. Called by one thread at a time."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def longest_line(self) -> int:
        """The largest number of bytes of a line."""
        ...

    def write(self, line: bytes) -> None:
        """Write a whole line, or raise `OSError`."""
        ...

    def sync(self) -> None:
        """Make the lines durable, or raise `OSError`."""
        ...

    def close(self) -> None:
        """Close it. A later `write` may open it again."""
        ...


@dataclass(slots=True, eq=False)
class _Line:
    """A line that waits, and who waits for it."""

    data: bytes
    kept: "Future[None] | None"


class AuditWriter:
    """Writes events to an output in their order, and those that others wait for durably.

    An event that was noted and cannot be written is tried again each second, so that an output
    that failed is used again by itself. One that somebody waits for is given up at once. At most
    1,000 lines wait.

    Args:
        output: Where the lines go.
        stall_seconds: The time for one line.
    """

    def __init__(self, output: AuditOutput, *, stall_seconds: float = _STALL_SECONDS) -> None:
        self._output = output
        self._stall_seconds = stall_seconds
        self._changed = threading.Condition()
        self._lines: deque[_Line] = deque()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._busy_since: float | None = None
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the newest events are not written; `None` if they are."""
        with self._changed:
            return self._problem

    def note(self, event: AuditEvent) -> None:
        """Write an event soon.

        Raises:
            AuditError: Too many wait already.
        """
        self._put(event, None)

    async def keep(self, event: AuditEvent) -> None:
        """Return when an event is written, and durable in a file.

        Raises:
            AuditError: It is not.
        """
        kept: Future[None] = Future()
        self._put(event, kept)
        try:
            await asyncio.wait_for(asyncio.wrap_future(kept), self._stall_seconds)
        except TimeoutError:
            raise self._stalled() from None

    async def aclose(self) -> None:
        """Write what waits, if that takes no longer than two seconds, and close the output.

        An event that comes later is written, too.
        """
        await asyncio.to_thread(self._stop)

    def _put(self, event: AuditEvent, kept: "Future[None] | None") -> None:
        line = _Line(event.encode(self._output.longest_line), kept)
        with self._changed:
            is_full = len(self._lines) >= _MAX_WAITING
            if is_full or (kept is not None and self._is_stuck()):
                raise self._stalled()
            self._lines.append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _is_stuck(self) -> bool:
        since = self._busy_since
        return since is not None and time.monotonic() - since > self._stall_seconds

    def _stalled(self) -> AuditError:
        with self._changed:
            if self._problem is None:
                self._report("it does not take the lines")
            return AuditError(f"{self._output.name}: {self._problem}")

    def _report(self, reason: str) -> None:
        """Set and log a new problem."""
        if self._problem is None:
            _LOG.error("%s: %s; writes are refused until it works", self._output.name, reason)
        self._problem = reason

    def _run(self) -> None:
        while (waiting := self._next()) is not None:
            written, error = self._write(waiting)
            with self._changed:
                self._busy_since = None
                self._settle(waiting, written, error)

    def _next(self) -> Sequence[_Line] | None:
        """Return the lines that wait, once there are some; `None`, with all closed, at the end."""
        with self._changed:
            while not self._lines:
                if self._is_closing:
                    self._thread = None
                    self._output.close()
                    return None
                self._changed.wait()
            self._busy_since = time.monotonic()
            return tuple(self._lines)

    def _write(self, lines: Sequence[_Line]) -> tuple[int, OSError | None]:
        """Write lines until one fails; return how many are written, and the error.

        After an error no line is durable.
        """
        written = 0
        try:
            for line in lines:
                self._output.write(line.data)
                written += 1
                with self._changed:
                    self._busy_since = time.monotonic()
        except OSError as error:
            return written, error
        try:
            if any(line.kept is not None for line in lines):
                self._output.sync()
        except OSError as error:
            return written, error
        return written, None

    def _settle(self, lines: Sequence[_Line], written: int, error: OSError | None) -> None:
        """Tell those who wait; keep what has to be tried again, and pause after an error."""
        for _ in lines:
            self._lines.popleft()
        if error is None:
            for line in lines:
                _answer(line, None)
            if self._problem is not None:
                _LOG.warning("%s works again", self._output.name)
                self._problem = None
            return
        reason = error.strerror or type(error).__name__
        self._report(reason)
        failed = AuditError(f"{self._output.name}: {reason}")
        for line in lines:
            _answer(line, failed)
        self._lines.extendleft(line for line in reversed(lines[written:]) if line.kept is None)
        if self._is_closing and self._lines:
            _LOG.error("%s: %d lines are lost", self._output.name, len(self._lines))
            self._lines.clear()
        elif all(line.kept is None for line in self._lines):
            self._changed.wait(_RETRY_SECONDS)

    def _stop(self) -> None:
        with self._changed:
            thread, self._is_closing = self._thread, True
            self._changed.notify()
        if thread is not None:
            thread.join(_CLOSE_SECONDS)


def _answer(line: _Line, error: AuditError | None) -> None:
    if line.kept is None:
        return
    with contextlib.suppress(InvalidStateError):  # nobody waits any more
        if error is None:
            line.kept.set_result(None)
        else:
            line.kept.set_exception(error)
