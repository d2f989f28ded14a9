"""What differs between one configuration and the next."""

from dataclasses import dataclass, field

from pyfly.config_client._result.names import canonical
from pyfly.config_client._result.properties import Properties


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A new configuration, and which keys differ from the one before. Shows no values."""

    properties: Properties
    previous: Properties = field(repr=False)
    added: frozenset[str]
    removed: frozenset[str]
    changed: frozenset[str]

    @property
    def keys(self) -> frozenset[str]:
        """All keys that differ."""
        return self.added | self.removed | self.changed

    def touches(self, prefix: str) -> bool:
        """True if a key that differs is `prefix`, in any spelling, or lies below it."""
        start = canonical(prefix)
        return not start or any(f"{canonical(key)}.".startswith(f"{start}.") for key in self.keys)


def compare(previous: Properties, properties: Properties) -> Change:
    """Return what differs; `1`, `1.0`, `True` and `"1"` are different values.

    Keys are spelt as in the new configuration; another spelling alone is no change. A value
    whose placeholders cannot be resolved differs from every value that can be read.
    """
    before, after = previous.entries(), properties.entries()
    return Change(
        properties=properties,
        previous=previous,
        added=frozenset(after[name][0] for name in after.keys() - before.keys()),
        removed=frozenset(before[name][0] for name in before.keys() - after.keys()),
        changed=frozenset(
            after[name][0]
            for name in before.keys() & after.keys()
            if _differ(before[name][1], after[name][1])
        ),
    )


def _differ(before: object, after: object) -> bool:
    return before != after or type(before) is not type(after)
