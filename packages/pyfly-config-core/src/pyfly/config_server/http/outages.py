"""Log lines about stores that cannot be reached: one for each reason, however many requests."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["Outages"]

_LOG: Final = logging.getLogger(__name__)

_QUIET_SECONDS: Final = 60.0
"""A reason is over when no request has failed for it in this time."""
_MAX_REASONS: Final = 100
"""The number of reasons that are remembered; the text of one may hold the name of a file."""


@dataclass(slots=True, kw_only=True)
class _Outage:
    """The requests that failed for one reason."""

    seen_at: float
    requests: int = 1


class Outages:
    """The reasons why stores cannot answer requests, from the first to the last of each.

    Args:
        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outages: dict[str, _Outage] = {}

    def __bool__(self) -> bool:
        """True if there is a reason that is not over, or whose end was not logged."""
        return bool(self._outages)

    def failed(self, request: str, reason: str, *, answer: str = "503") -> None:
        """Note a request that a store could not answer; log the reason unless it was logged.

        Args:
            request: Its method and path.
            reason: Why, without values.
            answer: What was answered instead.
        """
        now = self._clock()
        outage = self._outages.pop(reason, None)
        if outage is None or now - outage.seen_at > _QUIET_SECONDS:
            _LOG.error("%s: %s: %s; not logged again while it goes on", request, answer, reason)
            outage = _Outage(seen_at=now)
        else:
            outage.seen_at = now
            outage.requests += 1
        self._outages[reason] = outage  # the last of the dict is the one seen last
        if len(self._outages) > _MAX_REASONS:
            del self._outages[next(iter(self._outages))]

    def answered(self) -> None:
        """Note a request that was answered; log the reasons that are over."""
        oldest = self._clock() - _QUIET_SECONDS
        for reason, outage in list(self._outages.items()):
            if outage.seen_at >= oldest:
                return
            del self._outages[reason]
            _LOG.warning("over: %s; requests that failed: %d", reason, outage.requests)
