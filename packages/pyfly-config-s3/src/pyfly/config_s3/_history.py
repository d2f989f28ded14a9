"""The history of a bundle: the versions of the object that a reader uses, in pages."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from pyfly.config_core import (
    ConfigFormatError,
    ConfigKey,
    ConfigNotFoundError,
    UnsupportedOperationError,
)
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_s3._bucket import Bucket
from pyfly.config_s3._integrity import notes_of
from pyfly.config_s3._object_layout import ObjectLayout, version_of
from pyfly.config_s3._objects import StoredObject, StoredVersion
from pyfly.config_s3._views import content_of
from pyfly.config_server.files.bundle_files import bundle_of, parse_file
from pyfly.config_server.storage import ConfigSource, ConfigVersion

_STEP: Final = 64
"""The number of concurrent requests for authors and messages."""
_LISTED: Final = 1_000
"""The largest number of rows in one listing."""
_SEARCHED: Final = 10_000
"""The number of rows that are searched for a removal."""
_WITHOUT_VERSION: Final = "null"
"""The version id of objects that were stored before the bucket kept versions."""


class _WithDeadline(Protocol):
    """A blocking function that ends at a time of the monotonic clock."""

    def __call__(self, *, deadline: float) -> Any: ...


Run: TypeAlias = Callable[[_WithDeadline], Awaitable[Any]]
"""Runs a blocking function in a thread."""


class Paths(Protocol):
    """Returns the paths of the files that may hold a bundle, until a deadline."""

    def __call__(self, key: ConfigKey, *, deadline: float) -> Sequence[str]: ...


class BundleHistory:
    """Reads histories. The cost depends on the page, not on the number of versions.

    Args:
        bucket: The bucket.
        objects: The rules for object names.
        paths: Returns the paths of the files that may hold a bundle, the highest first.
        run: Runs calls in threads with deadlines.
    """

    def __init__(self, bucket: Bucket, objects: ObjectLayout, paths: Paths, run: Run) -> None:
        self._bucket = bucket
        self._objects = objects
        self._paths = paths
        self._run = run

    async def page(self, key: ConfigKey, *, limit: int, before: str | None) -> list[ConfigVersion]:
        """Return at most `limit` changes, newest first, older than `before`.

        Raises:
            ConfigNotFoundError: `before` is not a version of the object.
            UnsupportedOperationError: The bucket keeps no versions.
        """
        name = await self._object(key)
        after = None
        if before is not None:
            after = None if name is None else await self._place(name, before)
            if after is None:
                raise ConfigNotFoundError("version", before)
        rows = [] if name is None else await self._rows(name, after, limit)
        changes: list[ConfigVersion] = []
        for start in range(0, len(rows), _STEP):
            changes += await asyncio.gather(*map(self._change, rows[start : start + _STEP]))
        return changes

    async def load(self, key: ConfigKey, version: str) -> ConfigSource | None:
        """Return the bundle at a version, `None` for a missing version or a removal.

        Raises:
            UnsupportedOperationError: The bucket keeps no versions.
        """
        name = await self._object(key)
        found = None if name is None else await self._find(name, version)
        if name is None or found is None:
            return None
        version_id, tag = found
        if not tag:
            return None
        file_name = self._objects.path(key.label, name)
        source: ConfigSource | None = await self._run(
            partial(self._source, key, file_name, version_id)
        )
        return source

    def _source(
        self, key: ConfigKey, file_name: str, version_id: str, *, deadline: float
    ) -> ConfigSource | None:
        where = f"{key.label}/{file_name}"
        try:
            stored = self._bucket.read(
                self._objects.name(key.label, file_name),
                limit=MAX_DOCUMENT_BYTES,
                deadline=deadline,
                version_id=version_id,
            )
        except ConfigFormatError as error:
            raise error.at(where) from error.__cause__
        if not isinstance(stored, StoredObject):
            return None
        return bundle_of(key, [parse_file(content_of(stored), name=file_name, where=where)])

    async def _object(self, key: ConfigKey) -> str | None:
        """Return the name of the object with the history."""
        if not await self._run(self._bucket.has_versions):
            raise UnsupportedOperationError(
                "S3ConfigBackend on a bucket without versioning", "history"
            )
        if not self._objects.has(key.label):
            return None
        paths = await self._run(partial(self._paths, key))
        names = [self._objects.name(key.label, path) for path in paths]
        newest = await asyncio.gather(*(self._rows(name, None, 1) for name in names))
        return object_with_history([row for rows in newest for row in rows])

    async def _place(self, name: str, version: str) -> str | None:
        """Return the version id of a version or a removal, `None` if it is not found.

        Ceph does not distinguish a removal from a missing version, so removals are also searched
        for in the newest rows of the history.
        """
        found = await self._find(name, version)
        if found is not None:
            return found[0]
        for row in await self._rows(name, None, _SEARCHED):
            if row.removed and version_in_history(row.etag, row.version_id) == version:
                return row.version_id
        return None

    async def _find(self, name: str, version: str) -> tuple[str, str] | None:
        """Return the version id of a version, and its entity tag, empty for a removal."""
        for version_id in (version, _WITHOUT_VERSION):
            ask = partial(self._bucket.version_tag, name, version_id=version_id)
            tag = await self._run(ask) if version_id else None
            if tag is not None and version_in_history(tag, version_id) == version:
                return version_id, tag
        return None

    async def _rows(self, name: str, after: str | None, most: int) -> list[StoredVersion]:
        """Return versions of one object, newest first, that are older than `after`."""
        found: list[StoredVersion] = []
        marker = None if after is None else (name, after)
        while len(found) < most:
            page, marker = await self._run(
                partial(
                    self._bucket.versions, name, after=marker, most=min(most - len(found), _LISTED)
                )
            )
            of_object = [row for row in page if row.name == name]
            found += of_object
            if marker is None or len(of_object) < len(page):  # others begin with the same name
                break
        return found[:most]

    async def _change(self, row: StoredVersion) -> ConfigVersion:
        author = message = None
        if not row.removed:
            ask = partial(self._bucket.metadata, row.name, version_id=row.version_id)
            author, message = notes_of(await self._run(ask))
        return ConfigVersion(
            version=version_in_history(row.etag, row.version_id),
            saved_at=row.modified,
            author=author,
            message=message,
            deleted=row.removed,
        )


def object_with_history(newest: Sequence[StoredVersion]) -> str | None:
    """Return the name of the object that a reader uses, or of the object that was removed last.

    Args:
        newest: The newest version of each object that may hold the bundle, by precedence.
    """
    for row in newest:
        if not row.removed:
            return row.name
    return max(newest, key=lambda row: row.modified).name if newest else None


def version_in_history(etag: str, version_id: str) -> str:
    """Return the version for a history. The version of a removal has no content."""
    return version_of(etag, version_id) or version_id
