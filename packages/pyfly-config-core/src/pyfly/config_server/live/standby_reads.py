"""Noticing which results came from a standby, for everything that is read within a block."""

import contextlib
import time
from collections.abc import Generator
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["StandbyReads", "note_standby_read", "standby_reads"]


@dataclass(slots=True)
class StandbyReads:
    """The results from standbys within a block."""

    since: float | None = None
    """When the oldest of them was read from its store, in seconds since 1970; `None` if all
    results came from the stores."""

    @property
    def age(self) -> float | None:
        """The age of the oldest in seconds."""
        return None if self.since is None else max(0.0, time.time() - self.since)


_READS: ContextVar[StandbyReads | None] = ContextVar("standby_reads", default=None)


@contextlib.contextmanager
def standby_reads() -> Generator[StandbyReads]:
    """Collect the results that come from standbys, also in tasks that start within the block."""
    reads = StandbyReads()
    token = _READS.set(reads)
    try:
        yield reads
    finally:
        _READS.reset(token)


def note_standby_read(since: float) -> None:
    """Note a result that was read from its store at this time, in seconds since 1970."""
    reads = _READS.get()
    if reads is not None:
        reads.since = since if reads.since is None else min(since, reads.since)
