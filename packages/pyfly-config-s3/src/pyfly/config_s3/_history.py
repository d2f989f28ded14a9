"""Which versions of which object are the history of a bundle. Pure functions."""

from collections.abc import Sequence

from pyfly.config_core import ConfigKey
from pyfly.config_s3._names import Places, version_of
from pyfly.config_s3._objects import StoredVersion
from pyfly.config_server.layout import file_names
from pyfly.config_server.storage import ConfigVersion


def versions_of_bundle(
    rows: Sequence[StoredVersion], key: ConfigKey, places: Places
) -> list[StoredVersion]:
    """Return the versions of the object that a reader uses, newest first.

    Of a bundle that was removed: of the object that was removed last.

    Args:
        rows: All versions of objects with that stem, those of one name newest first.
        key: The name of the bundle.
        places: How names are made.
    """
    by_name = [
        [row for row in rows if row.name == places.of(key.label, file_name)]
        for file_name in file_names(key)
    ]
    candidates = [versions for versions in by_name if versions]
    alive = [versions for versions in candidates if not versions[0].removed]
    if alive:
        return alive[0]
    return max(candidates, key=lambda versions: versions[0].modified) if candidates else []


def history_row(row: StoredVersion, author: str | None, message: str | None) -> ConfigVersion:
    """Return a row of a history."""
    return ConfigVersion(
        version=version_of(row.etag, row.version_id) or row.version_id,
        saved_at=row.modified,
        author=author,
        message=message,
        deleted=row.removed,
    )
