"""Settings of `/actuator/health`."""

from dataclasses import dataclass

from pyfly.config_core import DEFAULT_PROFILE, split_names, split_profiles

__all__ = ["HealthRepository", "HealthSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRepository:
    """A document that `/actuator/health` fetches.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
    """

    name: str
    """The application."""
    profiles: str = DEFAULT_PROFILE
    """One, or a comma list."""
    label: str | None = None
    """`None` for the default one."""

    def __post_init__(self) -> None:
        split_names("application", self.name)
        split_profiles(self.profiles)
        if self.label is not None:
            split_names("label", self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """What `/actuator/health` fetches and says."""

    enabled: bool = True
    """Whether it fetches anything at all."""
    repositories: tuple[HealthRepository, ...] = (HealthRepository(name="app"),)
    """It fetches all of these; the first that fails counts."""
    down_status: str = "DOWN"
    """Its status then."""
    show_details: bool = False
    """Whether it names the sources that it found, and what failed."""
