"""Pairing the items of an old list with those of a new one. Pure functions."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from pyfly.config_core import JsonValue

__all__ = ["ItemPair", "pair_items"]

_MOST_COMPARED: Final = 40_000
"""If two lists have more pairs of items, their items are paired by their positions."""
_MOST_STEPS: Final = 200_000
"""The same for their pairs of equal items, times the length of the shorter list."""


class ItemPair(NamedTuple):
    """The index of an old item that is changed into a new one; `None` if one is missing."""

    old: int | None
    new: int | None


def pair_items(old: Sequence[JsonValue], new: Sequence[JsonValue]) -> Iterator[ItemPair]:
    """Yield all items of both lists, in their order; equal items are paired first.

    >>> [*pair_items([1, 2, 3], [1, 3])]
    [ItemPair(old=0, new=0), ItemPair(old=1, new=None), ItemPair(old=2, new=1)]
    """
    mine, others = [*map(_fingerprint, old)], [*map(_fingerprint, new)]
    for first, last, start, end in _blocks(mine, others):
        same = min(last - first, end - start)
        for index in range(same):
            yield ItemPair(first + index, start + index)
        for index in range(first + same, last):
            yield ItemPair(index, None)
        for index in range(start + same, end):
            yield ItemPair(None, index)


def _blocks(old: list[Hashable], new: list[Hashable]) -> Iterator[tuple[int, int, int, int]]:
    """Yield ranges of both lists that are equal, or differ."""
    shortest = min(len(old), len(new))
    head = next((i for i in range(shortest) if old[i] != new[i]), shortest)
    rest = shortest - head
    tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    last, end = len(old) - tail, len(new) - tail
    yield 0, head, 0, head
    mine, others = old[head:last], new[head:end]
    if _are_many(mine, others):
        yield head, last, head, end
    else:
        matcher = SequenceMatcher(None, mine, others, autojunk=False)
        for _, i1, i2, j1, j2 in matcher.get_opcodes():
            yield head + i1, head + i2, head + j1, head + j2
    yield last, len(old), end, len(new)


def _are_many(old: list[Hashable], new: list[Hashable]) -> bool:
    """True if two lists are too long to be compared, or have too many equal items."""
    if len(old) * len(new) > _MOST_COMPARED:
        return True
    counts = Counter(old)
    equal = sum(counts[item] for item in new)
    return equal * min(len(old), len(new)) > _MOST_STEPS


def _fingerprint(value: JsonValue) -> Hashable:
    """Return a value that is equal for equal trees only."""
    if isinstance(value, dict):
        return frozenset((key, _fingerprint(one)) for key, one in value.items())
    if isinstance(value, list):
        return tuple(map(_fingerprint, value))
    return type(value).__name__, repr(value)
