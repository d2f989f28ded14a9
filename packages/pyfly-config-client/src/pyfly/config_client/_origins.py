"""Where a configuration and its values come from."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from pyfly.config_client._merging import list_of, lists_in
from pyfly.config_client._names import canonical
from pyfly.config_core import Environment, PropertySource

LoadedFrom = Literal["server", "snapshot", "baseline"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ConfigMetadata:
    """What is known about a configuration beside its properties."""

    name: str = ""
    profiles: tuple[str, ...] = ()
    label: str | None = None
    version: str | None = None
    loaded_from: LoadedFrom = "server"
    place: str = ""
    """The address or the file, without credentials."""
    age_when_loaded: float = 0.0
    """Seconds since the server gave it, when it was loaded."""
    loaded_at: float = field(default_factory=time.monotonic)
    """By the monotonic clock, which no correction of the time of day moves."""

    def age(self) -> float:
        """Return the seconds since the server gave it."""
        return self.age_when_loaded + time.monotonic() - self.loaded_at

    def of(self, environment: "Environment | ConfigMetadata") -> "ConfigMetadata":
        """Return these facts with what a document says about itself."""
        return replace(
            self,
            name=environment.name,
            profiles=environment.profiles,
            label=environment.label,
            version=environment.version,
        )


_POSITION: Final = re.compile(r"(\d+):(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value comes from."""

    source: str
    """The property source, such as `main/orders-prod.yaml` or `environment`."""
    key: str
    """As it is spelt there."""
    line: int | None = None
    """Counted from 1, where the source knows it."""
    column: int | None = None
    """Likewise."""
    note: str | None = None
    """What else the source tells."""

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.source}, line {self.line}, column {self.column}"
        return self.source if self.note is None else f"{self.source} ({self.note})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Which source gives a property its value, and which ones it hides. Shows no value."""

    key: str
    winner: Origin
    losers: tuple[Origin, ...]
    """Highest precedence first."""

    def __str__(self) -> str:
        lines = [f"{self.key} comes from {self.winner}"]
        lines += [f"  instead of {loser.key!r} in {loser}" for loser in self.losers]
        return "\n".join(lines)


class Explainer:
    """Tells where values come from. Looks at all keys once, however many are asked for.

    A list hides the lists of that name, and single values of it, in all other sources.

    Args:
        sources: Highest precedence first.
    """

    def __init__(self, sources: Sequence[PropertySource]) -> None:
        self._lists = lists_in(source.source for source in sources)
        self._groups: dict[str, list[tuple[PropertySource, str, str]]] = {}
        for source in sources:
            for key in source.source:
                name = canonical(key)
                self._groups.setdefault(self._group(name), []).append((source, key, name))

    def _group(self, name: str) -> str:
        """Return the canonical name of what is taken whole from one source."""
        outer = list_of(name, self._lists)
        return name if outer is None else outer

    def explain(self, shown: str, key: str) -> Explanation:
        """Return which source gives a property its value.

        Args:
            shown: The key as it is asked for, without the prefix of a section.
            key: The key as the source that wins spells it.
        """
        wanted = canonical(key)
        group = self._groups[self._group(wanted)]
        holder = next(source for source, other, _ in group if other == key)
        losers = [
            _origin_in(source, other)
            for source, other, name in group
            if source is not holder or (other != key and name == wanted)
        ]
        return Explanation(key=shown, winner=_origin_in(holder, key), losers=tuple(losers))


def _origin_in(source: PropertySource, key: str) -> Origin:
    told = source.origins.get(key)
    position = None if told is None else _POSITION.fullmatch(told)
    if position is None:
        return Origin(source=source.name, key=key, note=told)
    return Origin(source=source.name, key=key, line=int(position[1]), column=int(position[2]))
