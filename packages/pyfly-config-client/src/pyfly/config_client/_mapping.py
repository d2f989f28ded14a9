"""`PropertyMapping`: merged properties as an immutable mapping, with their metadata."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal, cast

from pyfly.config_client._environ import key_for_variable
from pyfly.config_client._merging import MergedProperties, UnresolvedValue
from pyfly.config_core import Environment, FlatValue, PropertySource
from pyfly.config_core.property_names import canonical

LoadedFrom = Literal["server", "snapshot", "baseline"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ConfigMetadata:
    """The names, the version, the origin and the age of a whole configuration."""

    name: str = ""
    profiles: tuple[str, ...] = ()
    label: str | None = None
    version: str | None = None
    loaded_from: LoadedFrom = "server"
    place: str = ""
    """The address or the file, without credentials."""
    age_when_loaded: float = 0.0
    """Its age in seconds when it was loaded."""
    stale_when_loaded: float | None = None
    """For how many seconds the server could not read its store then; `None` if it could."""
    loaded_at: float = field(default_factory=time.monotonic)
    """By the monotonic clock, which corrections of the time of day do not change."""

    def age(self) -> float:
        """Return its age in seconds."""
        return self.age_when_loaded + time.monotonic() - self.loaded_at

    def stale_for(self) -> float | None:
        """Return for how many seconds the server cannot read its store; `None` if it can."""
        if self.stale_when_loaded is None:
            return None
        return self.stale_when_loaded + time.monotonic() - self.loaded_at

    def of(self, environment: "Environment | ConfigMetadata") -> "ConfigMetadata":
        """Return a copy with the names and the version of a document."""
        return replace(
            self,
            name=environment.name,
            profiles=environment.profiles,
            label=environment.label,
            version=environment.version,
        )


class PropertyMapping(Mapping[str, FlatValue]):  # noqa: PLW1641 - as other mappings
    """Flat keys to values. Lookups accept every spelling of a key.

    Iteration uses the spelling of the source with the highest precedence; equality and length
    count names, so that a mapping is equal to the plain dict of its content.

    Args:
        sources: The sources, the highest precedence first.
        merged: What they give together.
        metadata: The names, the version, the origin and the age of the whole configuration.
        prefix: The prefix of a section, which its keys do not have.
    """

    __slots__ = ("_merged", "_metadata", "_prefix", "_sources")

    def __init__(
        self,
        sources: Sequence[PropertySource],
        merged: MergedProperties,
        metadata: ConfigMetadata,
        *,
        prefix: str = "",
    ) -> None:
        self._sources = tuple(sources)
        self._merged = merged
        self._metadata = metadata
        self._prefix = prefix

    @property
    def name(self) -> str:
        """The application as requested."""
        return self._metadata.name

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles as the server names them."""
        return self._metadata.profiles

    @property
    def label(self) -> str | None:
        """The label as requested."""
        return self._metadata.label

    @property
    def version(self) -> str | None:
        """The revision of the store, if the server sends it."""
        return self._metadata.version

    @property
    def loaded_from(self) -> LoadedFrom:
        """Where the properties were loaded from."""
        return self._metadata.loaded_from

    @property
    def place(self) -> str:
        """The address of the server or the file, without credentials."""
        return self._metadata.place

    @property
    def from_snapshot(self) -> bool:
        """True if they are from a snapshot or the baseline, not from the server."""
        return self._metadata.loaded_from != "server"

    @property
    def age(self) -> timedelta:
        """The time since the server sent them; zero for a baseline when it is loaded."""
        return timedelta(seconds=self._metadata.age())

    @property
    def stale_for(self) -> float | None:
        """For how many seconds the server cannot read its store; `None` if it can.

        A stale configuration is the last good one that the server has.
        """
        return self._metadata.stale_for()

    def __getitem__(self, key: str) -> FlatValue:
        merged = self._merged
        if key not in merged.values:
            found = self._spelling(key)
            if found is None:
                raise KeyError(key)
            key = found
        return merged.read(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._spelling(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._merged.values)

    def __len__(self) -> int:
        return len(self._merged.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        rows = cast("Mapping[object, object]", other)  # isinstance cannot tell the parameters
        if len(rows) != len(self):
            return False
        return all(isinstance(key, str) and key in self for key in rows) and all(
            self[cast("str", key)] == value for key, value in rows.items()
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} properties)"

    def entries(self) -> dict[str, tuple[str, FlatValue | UnresolvedValue]]:
        """Return all spellings and values by canonical names; never raises."""
        merged = self._merged
        return {name: (key, merged.peek(key)) for name, key in merged.spellings.items()}

    def _spelling(self, key: str) -> str | None:
        """Return the stored spelling of a key; `None` if there is no such property."""
        found = self._merged.spellings.get(canonical(key))
        if found is None and key.isupper() and "." not in key:
            return key_for_variable(key, self._merged.spellings)
        return found

    def _get_plain(self, key: str, default: object) -> object:
        found = self._spelling(key)
        return default if found is None else self[found]
