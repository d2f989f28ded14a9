"""Noticing which results came from a standby, for everything that is read within a block."""

import contextlib
import time
from collections.abc import Generator, Iterable
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["StandbyReads", "is_known_to_be_away", "note_standby_read", "standby_reads"]


@dataclass(slots=True)
class StandbyReads:
    """The results from standbys within a block."""

    since: float | None = None
    """When the oldest of them was last known to be current, in seconds since 1970; `None` if all
    results came from the stores."""
    away: tuple[object, ...] = ()
    """The standbys whose stores are known to be away. They are asked only for what is not kept,
    because a store that is away may take long to fail."""

    @property
    def age(self) -> float | None:
        """The age of the oldest in seconds."""
        return None if self.since is None else max(0.0, time.time() - self.since)


_READS: ContextVar[StandbyReads | None] = ContextVar("standby_reads", default=None)


@contextlib.contextmanager
def standby_reads(*, away: Iterable[object] = ()) -> Generator[StandbyReads]:
    """Collect the results that come from standbys, also in tasks that start within the block.

    Args:
        away: The standbys whose stores are known to be away.
    """
    reads = StandbyReads(away=tuple(away))
    token = _READS.set(reads)
    try:
        yield reads
    finally:
        _READS.reset(token)


def is_known_to_be_away(standby: object) -> bool:
    """True if the reader knows that the store of a standby is away."""
    reads = _READS.get()
    return reads is not None and any(one is standby for one in reads.away)


def note_standby_read(since: float) -> None:
    """Note a result that was last known to be current at this time, in seconds since 1970."""
    reads = _READS.get()
    if reads is not None:
        reads.since = since if reads.since is None else min(since, reads.since)
