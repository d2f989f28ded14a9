"""The feeds of the stores that one request needs."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from pyfly.config_core import BackendUnavailableError
from pyfly.config_server.live.feed import Feed

__all__ = ["FeedGroup"]

_LOOK_SECONDS: Final = 2.0
"""How long a request waits for a look at a store, if that does not become late before."""
_FRESH_SECONDS: Final = 5.0
"""The same for a request that needs what was written before it, while the store can be reached."""


class FeedGroup:
    """The state of some stores together.

    Args:
        feeds: Their feeds; at least one.
    """

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = tuple(feeds)

    @property
    def is_down(self) -> bool:
        """True if a store cannot be reached, as far as is known."""
        return any(feed.is_down for feed in self._feeds)

    @property
    def have_looked(self) -> bool:
        """True if every store was looked at: no change after that is missed."""
        return all(feed.contact is not None for feed in self._feeds)

    @property
    def outage(self) -> float | None:
        """Seconds since the last contact with a store that is down; `None` if none is."""
        down = [feed.looked_at for feed in self._feeds if feed.is_down]
        return time.monotonic() - min(down) if down else None

    @property
    def lag(self) -> float | None:
        """Seconds since the last state was current that a store serves while it is down.

        `None` if no store does.
        """
        behind = [feed.looked_at for feed in self._feeds if feed.serves_last_state]
        return time.monotonic() - min(behind) if behind else None

    @property
    def age(self) -> float:
        """Seconds since the last answered look at the store that was looked at least lately."""
        return time.monotonic() - min(feed.looked_at for feed in self._feeds)

    @property
    def error(self) -> BackendUnavailableError | None:
        """Why stores cannot be read.

        `None` if they can, if the reason is another one, or if the first look is still under way.
        """
        for feed in self._feeds:
            if feed.serves_last_state:
                continue
            if isinstance(feed.error, BackendUnavailableError):
                return BackendUnavailableError(str(feed.error))
            if feed.is_late and feed.contact is not None:
                return BackendUnavailableError("the store does not answer")
        return None

    async def look(self, *, fresh: bool) -> bool:
        """Return when the stores were looked at lately, or after now; or some seconds later.

        Args:
            fresh: True for a look that begins after this call. Otherwise a store that is known to
                be down is not waited for.

        Returns:
            True if every store that was waited for has answered such a look.
        """
        now = time.monotonic()
        looks = [
            feed.look(
                now if fresh else now - feed.max_staleness,
                seconds=_FRESH_SECONDS if fresh and not feed.is_down else _LOOK_SECONDS,
            )
            for feed in self._feeds
            if fresh or not feed.is_down
        ]
        if len(looks) == 1:
            return await looks[0]
        return all(await asyncio.gather(*looks))
