"""The options of the live layer."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["LiveOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """How long answers are kept, and how many.

    Raises:
        ValueError: A number is not positive.
    """

    max_staleness: float | None = None
    """Seconds: no answer is older than this while its stores can be reached. `None` uses the value
    of each store, which is 1 second, or 10 for a store where looking for changes is expensive."""
    cache_bytes: int = 64 * 1_048_576
    """The memory for answers, in bytes."""
    max_watchers: int = 10_000
    """The largest number of requests of one process that are held until a document changes."""
    on_broken: Literal["stale", "fail"] = "stale"
    """The answer for a document with a bundle that no longer parses: the last good one, or the
    error."""

    def __post_init__(self) -> None:
        if self.max_staleness is not None and self.max_staleness <= 0:
            raise ValueError("max_staleness is a positive number of seconds")
        if self.cache_bytes < 0 or self.max_watchers < 0:
            raise ValueError("cache_bytes and max_watchers are not negative")
