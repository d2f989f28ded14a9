"""The cache of answers, with an index from what an answer was made of to the answer."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pyfly.config_server.composition.representation import DocumentRequest, Representation
from pyfly.config_server.live.inputs import InputKey, Touched, label_of

__all__ = ["AnswerCache", "Entry"]

_NEVER: Final = -1
_ENTRY_BYTES: Final = 2_000
"""The memory of an entry without its body and its inputs, about."""
_INPUT_BYTES: Final = 300
_PART: Final = 8
"""While no entry can be dropped, this part of all entries may be added before the next try."""


@dataclass(slots=True, eq=False, kw_only=True, weakref_slot=True)
class Entry:
    """The last good answer to a request."""

    request: DocumentRequest
    representation: Representation
    sequence: int
    """The number of batches of changes before it was composed."""
    generation: int
    """The generation of the cache in which the answer was good; -1 since something that it was
    made of has changed."""
    keys: frozenset[InputKey]
    """Everything that it was made of."""
    changed_at: float = 0.0
    """When something of it changed, in seconds of the monotonic clock."""
    current_until: float = -math.inf
    """When it ceased to be current, by the same clock; before that time it was."""
    error: Exception | None = None
    """Why it could not be composed again; `None` if nothing failed."""
    retry_at: float = 0.0
    """The earliest time of the next try after an error, unless something changes before."""
    is_used: bool = False
    """True if it was read again since the last search for something to drop. What is read only
    once is dropped first."""

    @property
    def size(self) -> int:
        """The memory in bytes, about."""
        return _ENTRY_BYTES + len(self.representation.body) + _INPUT_BYTES * len(self.keys)


class AnswerCache:
    """Answers by request, up to a number of bytes.

    When it is full, entries that were not read lately are dropped (second chance).

    Args:
        max_bytes: The bound.
        is_pinned: True for a request whose entry must not be dropped.
        dropped: Called with each entry that is dropped or replaced.
    """

    def __init__(
        self,
        max_bytes: int,
        *,
        is_pinned: Callable[[DocumentRequest], bool],
        dropped: Callable[[Entry], None] = lambda _: None,
    ) -> None:
        self._max_bytes = max_bytes
        self._is_pinned = is_pinned
        self._dropped = dropped
        self._bytes = 0
        self._entries: OrderedDict[DocumentRequest, Entry] = OrderedDict()
        self._pause = 0
        self._index: dict[InputKey, set[Entry]] = {}
        self._labels: dict[InputKey, bool | None] = {}
        self.generation = 0
        """The number of times that everything may have changed."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter([*self._entries.values()])

    def find(self, request: DocumentRequest) -> Entry | None:
        """Return the last good answer to a request."""
        return self._entries.get(request)

    def is_current(self, entry: Entry) -> bool:
        """True if nothing that the answer was made of has changed, as far as is known."""
        return entry.generation == self.generation

    def put(self, entry: Entry) -> None:
        """Keep an answer in place of the one before."""
        before = self._entries.get(entry.request)
        if before is not None:
            entry.is_used = before.is_used
            self.discard(before)
        self._entries[entry.request] = entry
        self._bytes += entry.size
        for key in entry.keys:
            self._index.setdefault(key, set()).add(entry)
        for one in entry.representation.inputs:
            for label in one.labels:
                key = label_of(one.store, label.label)
                if self._labels.setdefault(key, label.is_present) is not label.is_present:
                    self._labels[key] = None
        self._make_room(entry)

    def discard(self, entry: Entry) -> None:
        """Drop an answer."""
        if self._entries.get(entry.request) is not entry:
            return
        del self._entries[entry.request]
        self._bytes -= entry.size
        entry.generation = _NEVER
        self._dropped(entry)
        for key in entry.keys:
            others = self._index[key]
            others.discard(entry)
            if not others:
                del self._index[key]
                self._labels.pop(key, None)

    def clear(self) -> None:
        """Drop all answers."""
        for entry in self:
            self.discard(entry)

    def had_label(self, store: int, label: str) -> bool | None:
        """Return whether a label existed for the answers here.

        `None` if no answer depends on it, or if it existed for some of them only.
        """
        return self._labels.get(label_of(store, label))

    def touch(self, touched: Touched, now: float) -> Iterable[Entry]:
        """Mark the answers that changes touch, and return them.

        Args:
            touched: What has changed.
            now: Seconds of the monotonic clock.
        """
        if touched.everything:
            found: Iterable[Entry] = self._entries.values()
            self._labels.clear()
        else:
            found = {entry for key in touched.keys for entry in self._index.get(key, ())}
            for key in touched.keys:
                self._labels.pop(key, None)  # only answers that are composed anew say more
        for entry in found:
            if entry.generation == self.generation:
                entry.changed_at = entry.current_until = now
            entry.generation = _NEVER
            entry.retry_at = now
        self.generation += touched.everything
        return [*found]

    def _make_room(self, newest: Entry) -> None:
        if self._pause:
            self._pause -= 1
            return
        left = 2 * len(self._entries)
        while self._bytes > self._max_bytes and left:
            left -= 1
            request, entry = next(iter(self._entries.items()))
            if entry.is_used or entry is newest or self._is_pinned(request):
                entry.is_used = False
                self._entries.move_to_end(request)
            else:
                self.discard(entry)
        if not left:  # all are pinned: look again when there are some more
            self._pause = len(self._entries) // _PART
