"""What differs between one configuration and the next."""

from dataclasses import dataclass, field

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
        """Tell whether a key that differs is `prefix` or lies below it."""
        return any(
            key == prefix or key.startswith((f"{prefix}.", f"{prefix}[")) for key in self.keys
        )


def compare(previous: Properties, properties: Properties) -> Change:
    """Return what differs; `1`, `1.0`, `True` and `"1"` are different values."""
    before, after = dict(previous), dict(properties)
    return Change(
        properties=properties,
        previous=previous,
        added=frozenset(after.keys() - before.keys()),
        removed=frozenset(before.keys() - after.keys()),
        changed=frozenset(
            key
            for key in before.keys() & after.keys()
            if before[key] != after[key] or type(before[key]) is not type(after[key])
        ),
    )
