"""Limits of one answer, and the threshold for moving work to a thread."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from pyfly.config_core import (
    Environment,
    FlatBudget,
    InvalidConfigKeyError,
    JsonValue,
)
from pyfly.config_core.limits import MAX_LOOKUPS
from pyfly.config_server.storage import TOO_LARGE, ConfigSource, check_stored_bytes

_Result = TypeVar("_Result")

LARGE: Final = 1_000
"""Values in a tree, or properties in an answer. Larger work is done in a thread: this number of
values takes about 2 ms, and switching to a thread 0.1 ms."""
_CONTAINERS: Final = (dict, list)


async def run(function: Callable[[], _Result], *, large: bool) -> _Result:
    """Return the result of `function`, called in a thread if its work is large."""
    return await asyncio.to_thread(function) if large else function()


def is_large(trees: Iterable[Mapping[str, JsonValue]]) -> bool:
    """True if the trees hold too many values to work on in the event loop.

    Takes time in proportion to the number of values, up to that limit.
    """
    left = LARGE
    waiting: list[Any] = [*trees]
    while waiting and left >= 0:
        node: Any = waiting.pop()
        left -= len(node)
        if left >= 0:
            below: Iterable[Any] = node.values() if hasattr(node, "values") else node
            waiting += [one for one in below if isinstance(one, _CONTAINERS)]
    return left < 0


def count_properties(environment: Environment) -> int:
    """Return the number of properties in all sources of a document."""
    return sum(len(source.source) for source in environment.property_sources)


class AnswerBudget:
    """Counts the parts of one answer while they are read, and refuses too many."""

    def __init__(self) -> None:
        self.flat: Final = FlatBudget(f" in one answer; {TOO_LARGE}")
        """The properties of all documents."""
        self._stored = 0

    def take(self, sources: Iterable[ConfigSource | None]) -> None:
        """Count the stored text of more bundles.

        Raises:
            ConfigFormatError: The total is more than 8 MiB.
        """
        self._stored += sum(source.size for source in sources if source is not None)
        check_stored_bytes(self._stored)


def check_lookups(**counts: int) -> None:
    """Refuse a request for too many combinations of names.

    Args:
        counts: The number of names of each kind.

    Raises:
        InvalidConfigKeyError: Their product is larger than 256.
    """
    product = math.prod(counts.values())
    if product > MAX_LOOKUPS:
        kinds = " x ".join(f"{count} {kind}" for kind, count in counts.items())
        raise InvalidConfigKeyError(
            "request",
            kinds,
            f"these are {product:,} lookups, more than {MAX_LOOKUPS}; ask for fewer names at once "
            "(the shared application and the default profile count, too)",
        )
