"""What a request costs a running server: CPU time and memory of its process, never wall time."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_QUIET_SECONDS: Final = 0.05
_QUIET_CPU_SECONDS: Final = 0.002
_WAIT_SECONDS: Final = 60.0
_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the server spent."""

    loop_seconds: float
    """CPU time of the thread that runs the event loop."""
    cpu_seconds: float
    """CPU time of all threads."""
    megabytes: float
    """How much the process grew at its peak."""


class Meter:
    """Measures one server process, whose main thread runs the event loop."""

    def __init__(self, pid: int) -> None:
        self._process = Path(f"/proc/{pid}")
        self._loop = self._process / "task" / str(pid) / "schedstat"
        self._before = (0.0, 0.0, 0.0)

    def start(self) -> None:
        """Wait until the server is quiet, and begin."""
        self._wait_until_quiet()
        (self._process / "clear_refs").write_text("5", encoding="ascii")  # forget the peak
        self._before = (self._loop_seconds(), self._cpu_seconds(), self._status("VmRSS"))

    def stop(self) -> Cost:
        """Wait until the server is quiet again, and return what it spent since `start`."""
        self._wait_until_quiet()
        loop, cpu, memory = self._before
        return Cost(
            loop_seconds=self._loop_seconds() - loop,
            cpu_seconds=self._cpu_seconds() - cpu,
            megabytes=self._status("VmHWM") - memory,
        )

    def _wait_until_quiet(self) -> None:
        """Return when the process used no CPU for a moment: a client may have left long before."""
        deadline = time.monotonic() + _WAIT_SECONDS
        before = self._running_seconds()
        while time.monotonic() < deadline:
            time.sleep(_QUIET_SECONDS)
            now = self._running_seconds()
            if now - before <= _QUIET_CPU_SECONDS:
                return
            before = now
        raise TimeoutError(f"the server was still busy after {_WAIT_SECONDS:.0f} s")

    def _loop_seconds(self) -> float:
        return _nanoseconds(self._loop) / 1e9

    def _running_seconds(self) -> float:
        """Return the CPU time of the threads that there are, more exactly than `_cpu_seconds`."""
        return sum(map(_nanoseconds, self._process.glob("task/*/schedstat"))) / 1e9

    def _cpu_seconds(self) -> float:
        fields = (self._process / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _status(self, name: str) -> float:
        text = (self._process / "status").read_text(encoding="ascii")
        line = next(line for line in text.splitlines() if line.startswith(name + ":"))
        return int(line.split()[1]) * 1024 / _MEGABYTE


def _nanoseconds(schedstat: Path) -> int:
    try:
        return int(schedstat.read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, ProcessLookupError):  # the thread has ended
        return 0
