"""Limits of one connection, and of the number of connections."""

import sys
from dataclasses import dataclass
from typing import Final

from pyfly.config_server import MAX_BODY_BYTES

MAX_CONNECTIONS: Final = 20_000
SPARE_DESCRIPTORS: Final = 500
"""Descriptors that are kept for files, stores and connections that are being refused."""

STOP_SECONDS: Final = 1.0
"""After SIGTERM, running requests have this long to finish."""
DRAIN_SECONDS: Final = 0.5
"""At a reload, an old worker answers with `Connection: close` for this long, then closes."""
RELOAD_SECONDS: Final = 30.0
"""At a reload, requests that run under the old settings have this long to finish."""
KILL_SECONDS: Final = 3.0
"""After SIGTERM, a process that has not ended by then is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """The limits of each connection. Times are in seconds."""

    head_bytes: int = 65_536
    """Request line and headers together."""
    head_seconds: float = 10
    """Time for the whole head, from the connection or from its first byte on."""
    body_seconds: float = 60
    """Time for the whole body, read by the application or not."""
    message_bytes: int = 2 * MAX_BODY_BYTES
    """Head and body together; more is never read, because no route takes it."""
    write_seconds: float = 30
    """A full send buffer must make progress within this time."""
    idle_seconds: int = 75
    """A kept connection may be idle for this long; longer than nginx keeps one (60)."""
    connections: int = MAX_CONNECTIONS
    """Open connections of one process."""


def connection_limit() -> int:
    """Raise the soft limit of open files to the hard one; return how many connections fit."""
    descriptors = _raise_descriptors()
    return max(16, min(MAX_CONNECTIONS, descriptors - SPARE_DESCRIPTORS))


def _raise_descriptors() -> int:
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource  # noqa: PLC0415 - not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS has a lower limit than it says
        return soft
    return MAX_CONNECTIONS + SPARE_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
