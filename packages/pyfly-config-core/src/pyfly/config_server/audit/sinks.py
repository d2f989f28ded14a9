"""`AuditSink`: what keeps the events of the audit log."""

from typing import Protocol, runtime_checkable

from pyfly.config_core import ConfigError
from pyfly.config_server.audit.events import AuditEvent

__all__ = ["AuditError", "AuditSink"]


class AuditError(ConfigError):
    """An event cannot be kept; the message says why."""


@runtime_checkable
class AuditSink(Protocol):
    """Keeps events. An embedding application may implement it.

    If it raises, no matter what, a write is refused with 503; reads are answered.
    """

    @property
    def problem(self) -> str | None:
        """Why the newest events are not kept; `None` if they are. The log shows it."""
        ...

    def note(self, event: AuditEvent) -> None:
        """Keep an event soon, without waiting.

        Raises:
            AuditError: It will not be kept.
        """
        ...

    async def keep(self, event: AuditEvent) -> None:
        """Return when an event is kept, also if the machine fails then.

        Raises:
            AuditError: It is not.
        """
        ...

    async def aclose(self) -> None:
        """Keep what was noted, and close. A later event may still come."""
        ...
