"""Which configuration a client is for."""

from dataclasses import dataclass

from pyfly.config_core import split_names, split_profiles


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Identity:
    """Which configuration is asked for, and where: what a snapshot belongs to."""

    servers: tuple[str, ...]
    """Addresses without credentials, in the order of asking."""
    application: str
    profiles: str
    labels: tuple[str | None, ...]
    """In the order of asking."""


def check_identity(identity: Identity) -> None:
    """Refuse names that no server accepts.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ValueError: There is no server or no label to ask for.
    """
    if not identity.servers or not identity.labels:
        raise ValueError("name at least one server, and no empty list of labels")
    split_names("application", identity.application)
    split_profiles(identity.profiles)
    for label in identity.labels:
        if label is not None:
            split_names("label", label)
