"""The flat keys of a document, computed once and kept with the document."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pyfly.config_core import FlatBudget, FlatValue, JsonValue, drop_retired, flatten

__all__ = ["FlatProperties", "flatten_document"]

_CONDITION: Final = re.compile(r"spring\.config\.activate\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatProperties:
    """The flat keys of one document. It is shared between answers and must not be changed."""

    values: Mapping[str, FlatValue] = field(repr=False)
    """Flat keys to single values, in document order, without the retired keys."""
    retired: tuple[str, ...] = ()
    """Keys that are left out because clients refuse them; see `drop_retired`."""
    conditions: Mapping[str, FlatValue] = field(repr=False)
    """The part of `values` with keys that begin with `spring.config.activate.`, in any case."""
    count: int
    """The number of properties, repeated keys included."""
    size: int
    """The bytes of their flat keys and values in UTF-8."""

    def charge(self, budget: FlatBudget) -> None:
        """Count this document in a budget, as flattening it would.

        Raises:
            ConfigFormatError: The budget has no room for it.
        """
        budget.take(self.size, properties=self.count)


def flatten_document(properties: Mapping[str, JsonValue]) -> FlatProperties:
    """Return the flat keys of a document.

    Raises:
        ConfigFormatError: As `flatten`, within the limits of one document.
    """
    budget = FlatBudget()
    flat = flatten(properties, budget)
    retired = drop_retired(flat)
    return FlatProperties(
        values=flat,
        retired=tuple(retired),
        conditions={key: value for key, value in flat.items() if _CONDITION.match(key)},
        count=budget.properties,
        size=budget.size,
    )
