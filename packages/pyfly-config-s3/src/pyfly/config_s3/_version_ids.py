"""The version ids of listed objects, for buckets with versions: listings do not have them."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from pyfly.config_s3._bucket import Bucket
from pyfly.config_s3._object_layout import version_of
from pyfly.config_s3._objects import StoredName, StoredVersion

_Remembered: TypeAlias = tuple[str, datetime, str]
"""Entity tag, time of the last change, version."""

_MOST_LOOKS: Final = 16
"""If more objects are unknown, all versions are listed."""
_REMEMBERED: Final = 100_000
_YOUNG_SECONDS: Final = 5.0
"""A listing does not distinguish two writes of the same bytes within a second."""


class VersionIds:
    """A cache of the version ids of current objects. Safe for use from several threads.

    A listing of all versions costs a request for every 1,000 versions, including old ones. It is
    made once; afterwards only changed objects are requested.

    Args:
        bucket: The bucket.
        list_versions: Lists all versions of names with a prefix, until a deadline.
    """

    def __init__(
        self, bucket: Bucket, list_versions: Callable[[str, float], list[StoredVersion]]
    ) -> None:
        self._bucket = bucket
        self._list_versions = list_versions
        self._remembered: dict[str, _Remembered] = {}
        self._has_version_ids = False

    def versions(
        self, rows: Sequence[StoredName], begin: str, *, deadline: float
    ) -> dict[str, str]:
        """Return the version of every listed object that still exists.

        Args:
            rows: A listing of the names with the prefix `begin`.
            begin: The prefix.
            deadline: A time of the monotonic clock.
        """
        if not rows or not self._keeps_versions(rows[0].name, deadline):
            return {row.name: row.etag for row in rows}
        known = self._known(rows)
        unknown = [row for row in rows if row.name not in known]
        if len(unknown) > _MOST_LOOKS:
            found: dict[str, tuple[str, str | None]] = {
                row.name: (row.etag, row.version_id)
                for row in self._list_versions(begin, deadline)
                if row.latest and not row.removed
            }
        else:
            found = self._look_at([row.name for row in unknown], deadline)
        self._remember(rows, found)
        versions = known | {name: version_of(*stored) for name, stored in found.items()}
        return {row.name: versions[row.name] for row in rows if row.name in versions}

    def _keeps_versions(self, name: str, deadline: float) -> bool:
        if not self._has_version_ids:  # a bucket never loses its version ids
            stored = self._bucket.describe(name, version_id=None, deadline=deadline)
            self._has_version_ids = stored is None or stored.version_id is not None
        return self._has_version_ids

    def _known(self, rows: Sequence[StoredName]) -> dict[str, str]:
        remembered = self._remembered
        return {
            row.name: known[2]
            for row in rows
            if (known := remembered.get(row.name)) and known[:2] == (row.etag, row.modified)
        }

    def _look_at(self, names: Sequence[str], deadline: float) -> dict[str, tuple[str, str | None]]:
        looks = (
            (name, self._bucket.describe(name, version_id=None, deadline=deadline))
            for name in names
        )
        return {name: (found.etag, found.version_id) for name, found in looks if found is not None}

    def _remember(
        self, rows: Sequence[StoredName], found: dict[str, tuple[str, str | None]]
    ) -> None:
        young = datetime.fromtimestamp(time.time() - _YOUNG_SECONDS, UTC)
        added = {
            row.name: (row.etag, row.modified, version_of(*found[row.name]))
            for row in rows
            if row.modified < young and row.name in found and found[row.name][0] == row.etag
        }
        if len(self._remembered) + len(added) > _REMEMBERED:
            self._remembered = {}
        if len(added) <= _REMEMBERED:
            self._remembered = self._remembered | added
