"""Settings of `/actuator/health`."""

from dataclasses import dataclass

from pyfly.config_core import DEFAULT_PROFILE, split_names, split_profiles

__all__ = ["HealthRepository", "HealthSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRepository:
    """A document that `/actuator/health` composes.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
    """

    name: str
    """The application."""
    profiles: str = DEFAULT_PROFILE
    """One profile, or a comma list."""
    label: str | None = None
    """The label; `None` for the default label."""

    def __post_init__(self) -> None:
        split_names("application", self.name)
        split_profiles(self.profiles)
        if self.label is not None:
            split_names("label", self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """Settings of `/actuator/health`."""

    enabled: bool = True
    """True to compose documents; otherwise it is always up."""
    repositories: tuple[HealthRepository, ...] = (HealthRepository(name="app"),)
    """The documents to compose. The first failure counts."""
    down_status: str = "DOWN"
    """The status after a failure."""
    show_details: bool = False
    """True to name the property sources and the failure."""
