"""What a write may expect of what is stored, and the check of it."""

from enum import Enum
from typing import Final, TypeAlias

from pyfly.config_core import ConfigConflictError, ConfigKey

__all__ = ["ABSENT", "ANY", "PRESENT", "Expected", "Precondition", "check_expected"]


class Precondition(Enum):
    """What a conditional write may expect besides a version."""

    ABSENT = "absent"
    """Nothing is stored yet: create only."""
    ANY = "any"
    """Whatever is stored: overwrite or create, knowingly."""
    PRESENT = "present"
    """Something is stored, whichever version it is: overwrite only."""


ABSENT: Final = Precondition.ABSENT
ANY: Final = Precondition.ANY
PRESENT: Final = Precondition.PRESENT

Expected: TypeAlias = str | Precondition
"""A version that must still be the stored one, `ABSENT`, `PRESENT` or `ANY`."""


def check_expected(key: ConfigKey, *, expected: Expected, current: str | None) -> None:
    """Refuse a write whose condition does not hold.

    A store calls this where no other writer can write between the check and the write.

    Args:
        key: What is to be written.
        expected: The condition.
        current: The stored version, `None` when nothing is stored.

    Raises:
        ConfigConflictError: The condition does not hold; names the current version.
    """
    match expected:
        case Precondition.ANY:
            holds = True
        case Precondition.ABSENT:
            holds = current is None
        case Precondition.PRESENT:
            holds = current is not None
        case version:
            holds = current == version
    if not holds:
        raise ConfigConflictError(str(key), current)
