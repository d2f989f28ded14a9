"""What a process remembers of the changes that it saw in a store."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from pyfly.config_server.storage.values import Change, ChangeBatch, EverythingChange

__all__ = ["ChangeJournal"]

_MAX_CHANGES: Final = 10_000


class ChangeJournal:
    """Changes in the order in which they were seen, each behind the cursor that it led to.

    It is bounded: the oldest changes are forgotten first. Several threads may use it.

    Args:
        cursor: The state of the store at the beginning.
        limit: Changes that are remembered.
    """

    def __init__(self, cursor: str, *, limit: int = _MAX_CHANGES) -> None:
        self._limit = limit
        self._steps: OrderedDict[str, tuple[Change, ...]] = OrderedDict({cursor: ()})
        self._size = 0
        self._guard = threading.Lock()

    @property
    def cursor(self) -> str:
        """The state of the store after the last change."""
        return next(reversed(self._steps))

    def append(self, cursor: str, changes: Iterable[Change]) -> None:
        """Add what led from the last cursor to this one; nothing if it is the same cursor."""
        added = tuple(changes)
        with self._guard:
            if cursor == self.cursor:
                return
            if cursor in self._steps:  # the store is as it was before: its past is ambiguous
                self._steps.clear()
                self._size = 0
                added = ()
            self._steps[cursor] = added
            self._size += len(added)
            while self._size > self._limit and len(self._steps) > 1:
                self._steps.popitem(last=False)
                # The oldest step that is left is only a place to start from.
                first = next(iter(self._steps))
                self._size -= len(self._steps[first])
                self._steps[first] = ()

    def since(self, cursor: str | None) -> ChangeBatch:
        """Return what changed since a cursor: each change once, everything if it is not known."""
        with self._guard:
            present = self.cursor
            if cursor is None or cursor == present:
                return ChangeBatch(cursor=present)
            if cursor not in self._steps:
                return ChangeBatch(cursor=present, changes=(EverythingChange(),))
            changes: dict[Change, None] = {}
            for name in reversed(self._steps):
                if name == cursor:
                    break
                changes.update(dict.fromkeys(self._steps[name]))
            return ChangeBatch(cursor=present, changes=tuple(changes))
