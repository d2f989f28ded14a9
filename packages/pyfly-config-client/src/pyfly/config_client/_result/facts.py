"""What is known about a configuration as a whole."""

import time
from dataclasses import dataclass, field, replace
from typing import Literal

from pyfly.config_core import Environment

LoadedFrom = Literal["server", "snapshot", "baseline"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Facts:
    """What is known about a configuration beside its properties."""

    name: str = ""
    profiles: tuple[str, ...] = ()
    label: str | None = None
    version: str | None = None
    loaded_from: LoadedFrom = "server"
    place: str = ""
    """The address or the file, without credentials."""
    age_then: float = 0.0
    """Seconds since the server gave it, when it was loaded."""
    loaded_at: float = field(default_factory=time.monotonic)
    """By the monotonic clock, which no correction of the time of day moves."""

    def age(self) -> float:
        """Return the seconds since the server gave it."""
        return self.age_then + time.monotonic() - self.loaded_at

    def of(self, environment: "Environment | Facts") -> "Facts":
        """Return these facts with what a document says about itself."""
        return replace(
            self,
            name=environment.name,
            profiles=environment.profiles,
            label=environment.label,
            version=environment.version,
        )
