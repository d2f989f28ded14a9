"""`Audit`: events on their way to a sink, without letting anybody fill it."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pyfly.config_server.audit.events import AuditEvent
from pyfly.config_server.audit.sinks import AuditError, AuditSink

__all__ = ["Audit"]

_LOG: Final = logging.getLogger(__name__)
_BURST: Final = 1_000
"""Refusals without a principal that are kept at once."""
_EACH_SECOND: Final = 20
"""Refusals without a principal that are kept each second after that."""


class Audit:
    """The audit log of one application, which closes it.

    Nobody without a credential can fill the log: of refusals without a principal, 1,000 are kept
    at once and 20 a second after that. The next line says how many were left out.

    Args:
        sink: Keeps the events.
        reads: Record reads, too. Nothing is then answered from memory without a look at it.
        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        sink: AuditSink,
        *,
        reads: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self.reads: Final = reads
        """True to record reads."""
        self._clock = clock
        self._tokens = float(_BURST)
        self._counted_at = clock()
        self._left_out = 0
        self._is_reported = False

    @property
    def problem(self) -> str | None:
        """Why the newest events are not kept; `None` if they are."""
        return self._sink.problem

    async def attempt(self, event: AuditEvent) -> None:
        """Keep the event of a write that has not begun.

        Raises:
            AuditError: It is not kept, so that the write must not begin.
        """
        left_out, self._left_out = self._left_out, 0
        try:
            await self._sink.keep(replace(event, left_out=left_out or None))
        except Exception as error:
            self._left_out += left_out
            self._report(error)
            if isinstance(error, AuditError):
                raise
            raise AuditError(f"the audit log raised {type(error).__name__}") from error
        self._is_reported = False

    def note(self, event: AuditEvent) -> None:
        """Keep an event soon. One that cannot be kept is counted in the next."""
        is_limited = event.principal is None and event.result == "refused"
        if is_limited and not self._admits():
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        try:
            self._sink.note(replace(event, left_out=left_out or None))
        except Exception as error:  # noqa: BLE001 - a sink of a third party may raise anything
            self._left_out += left_out + 1
            self._report(error)

    def access_file_in_force(self, before: str | None, after: str) -> None:
        """Note which access file is in force: its version, and that of the one before."""
        self.note(
            AuditEvent(
                at=time.time(),
                operation="accessFile",
                result="done",
                version_before=before,
                version_after=after,
            )
        )

    async def aclose(self) -> None:
        """Close the sink."""
        await self._sink.aclose()

    def _admits(self) -> bool:
        now = self._clock()
        added = (now - self._counted_at) * _EACH_SECOND
        self._tokens, self._counted_at = min(self._tokens + added, _BURST), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _report(self, error: Exception) -> None:
        """Log an error of a sink of a third party, once; `AuditWriter` logs its own."""
        if not self._is_reported and not isinstance(error, AuditError):
            _LOG.error("the audit log raised %s; writes are refused", type(error).__name__)
            self._is_reported = True
