"""A bounded list of the latest changes to a store, for `SupportsChanges`."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from pyfly.config_server.storage.values import Change, ChangeBatch, EverythingChange

__all__ = ["ChangeJournal"]

_MAX_CHANGES: Final = 10_000


class ChangeJournal:
    """The latest changes in order, each with the cursor after it.

    The oldest changes are dropped first. Safe for use from several threads.

    Args:
        cursor: The cursor of the store at the beginning.
        limit: The number of changes that are kept.
    """

    def __init__(self, cursor: str, *, limit: int = _MAX_CHANGES) -> None:
        self._limit = limit
        self._steps: OrderedDict[str, tuple[Change, ...]] = OrderedDict({cursor: ()})
        self._size = 0
        self._guard = threading.Lock()

    @property
    def cursor(self) -> str:
        """The cursor after the last change."""
        return next(reversed(self._steps))

    def append(self, cursor: str, changes: Iterable[Change]) -> None:
        """Add the changes between the last cursor and this one; nothing if they are the same."""
        added = tuple(changes)
        with self._guard:
            if cursor == self.cursor:
                return
            if cursor in self._steps:  # the store returned to an old state: the past is ambiguous
                self._steps.clear()
                self._size = 0
                added = ()
            self._steps[cursor] = added
            self._size += len(added)
            while self._size > self._limit and len(self._steps) > 1:
                self._steps.popitem(last=False)
                # The oldest remaining step is only a start.
                first = next(iter(self._steps))
                self._size -= len(self._steps[first])
                self._steps[first] = ()

    def since(self, cursor: str | None) -> ChangeBatch:
        """Return the changes since a cursor, each once; `EverythingChange` if it is unknown."""
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
