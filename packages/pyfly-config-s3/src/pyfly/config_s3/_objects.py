"""Objects, listings and conditions as values. Names are relative to the prefix."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The condition that an object still has this entity tag."""

    etag: str
    quoted: bool = True
    """True if the store needs quotes around entity tags."""


Condition: TypeAlias = Match | Literal["absent"] | None
"""The condition of a write on the stored object; `None` for no condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredName:
    """One row of a listing."""

    name: str
    etag: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """A verified object."""

    data: bytes = field(repr=False)
    etag: str
    version_id: str | None
    metadata: Mapping[str, str] = field(repr=False)
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """One row of a listing of versions."""

    name: str
    etag: str
    """Empty for a removal."""
    version_id: str
    modified: datetime
    latest: bool
    removed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Entity tag and version of an object."""

    etag: str
    version_id: str | None
