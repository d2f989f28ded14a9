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
    """The facts about a configuration as a whole: its names, version, origin and age."""

    name: str = ""
    profiles: tuple[str, ...] = ()
    label: str | None = None
    version: str | None = None
    loaded_from: LoadedFrom = "server"
    place: str = ""
    """The address or the file, without credentials."""
    age_when_loaded: float = 0.0
    """Its age in seconds when it was loaded."""
    loaded_at: float = field(default_factory=time.monotonic)
    """By the monotonic clock, which corrections of the time of day do not change."""

    def age(self) -> float:
        """Return its age in seconds."""
        return self.age_when_loaded + time.monotonic() - self.loaded_at

    def of(self, environment: "Environment | ConfigMetadata") -> "ConfigMetadata":
        """Return a copy with the names and the version of a document."""
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
    """The origin of a value."""

    source: str
    """The property source, such as `main/orders-prod.yaml` or `environment`."""
    key: str
    """As spelled in the source."""
    line: int | None = None
    """Counted from 1, if the source has it."""
    column: int | None = None
    """Counted from 1, if the source has it."""
    note: str | None = None
    """An origin of another form than line and column."""

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.source}, line {self.line}, column {self.column}"
        return self.source if self.note is None else f"{self.source} ({self.note})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The origin of a property, and the origins it takes precedence over. Shows no value."""

    key: str
    winner: Origin
    losers: tuple[Origin, ...]
    """The highest precedence first."""

    def __str__(self) -> str:
        lines = [f"{self.key} comes from {self.winner}"]
        lines += [f"  instead of {loser.key!r} in {loser}" for loser in self.losers]
        return "\n".join(lines)


class Explainer:
    """Explains where values come from. Reads all keys once, for any number of questions.

    A list takes precedence, as a whole, over lists and single values of that name in all other
    sources.

    Args:
        sources: The highest precedence first.
    """

    def __init__(self, sources: Sequence[PropertySource]) -> None:
        self._lists = lists_in(source.source for source in sources)
        self._groups: dict[str, list[tuple[PropertySource, str, str]]] = {}
        for source in sources:
            for key in source.source:
                name = canonical(key)
                self._groups.setdefault(self._group(name), []).append((source, key, name))

    def _group(self, name: str) -> str:
        """Return the canonical name of the list that contains a name, or the name itself."""
        outer = list_of(name, self._lists)
        return name if outer is None else outer

    def explain(self, shown: str, key: str) -> Explanation:
        """Return the explanation of a property.

        Args:
            shown: The key as the user spells it, without the prefix of a section.
            key: The key as spelled by the source with the highest precedence.
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
    text = source.origins.get(key)
    position = None if text is None else _POSITION.fullmatch(text)
    if position is None:
        return Origin(source=source.name, key=key, note=text)
    return Origin(source=source.name, key=key, line=int(position[1]), column=int(position[2]))
