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
    """How the store wants it written."""


Condition: TypeAlias = Match | Literal["absent"] | None
"""What a write expects of the stored object; `None` for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredName:
    """One row of a listing."""

    name: str
    etag: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object that arrived as it is stored."""

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
    """Entity tag and version of an object that was written or looked at."""

    etag: str
    version_id: str | None
