"""Conditions of writes, and their check."""

import hashlib
from enum import Enum
from typing import Final, TypeAlias

from pyfly.config_core import ConfigConflictError, ConfigKey

__all__ = [
    "ABSENT",
    "ANY",
    "PRESENT",
    "Expected",
    "Precondition",
    "check_expected",
    "check_freezes",
]


class Precondition(Enum):
    """A condition of a write other than a version."""

    ABSENT = "absent"
    """Nothing must be stored: create only."""
    ANY = "any"
    """Anything or nothing may be stored: overwrite or create."""
    PRESENT = "present"
    """Some version must be stored: overwrite only."""


ABSENT: Final = Precondition.ABSENT
"""Nothing is stored."""
ANY: Final = Precondition.ANY
"""Whatever is stored, or nothing."""
PRESENT: Final = Precondition.PRESENT
"""Something is stored, at any version."""

Expected: TypeAlias = str | Precondition
"""The version that must be stored, `ABSENT`, `PRESENT` or `ANY`."""


def check_expected(key: ConfigKey, *, expected: Expected, current: str | None) -> None:
    """Refuse a write if its condition does not hold.

    A store calls this while no other writer can write between the check and the write.

    Args:
        key: The name of the bundle.
        expected: The condition.
        current: The stored version, `None` if nothing is stored.

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


def check_freezes(current: str | None, *, expected: str | None) -> None:
    """Refuse to replace the text of the freezes if another writer has changed it.

    A store calls this while no other writer can write between the check and the write.

    Args:
        current: The stored text, `None` if nothing is stored.
        expected: The text that must be stored.

    Raises:
        ConfigConflictError: They differ.
    """
    if current != expected:
        data = (current or "").encode(errors="surrogateescape")
        digest = None if current is None else hashlib.sha256(data).hexdigest()[:12]
        raise ConfigConflictError("the list of freezes", digest)
