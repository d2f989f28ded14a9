"""The backend that keeps bundles as objects of an S3 bucket."""

import builtins
from typing import Final, Self

from pyfly.config_core import ConfigKey
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS
from pyfly.config_s3._bucket import Bucket
from pyfly.config_s3._client import S3Client, make_client
from pyfly.config_s3._history import BundleHistory
from pyfly.config_s3._object_layout import ObjectLayout
from pyfly.config_s3._tree import BucketTree
from pyfly.config_s3._url import S3Location, check_location, parse_url
from pyfly.config_server.files import StoreLimits, TextStore
from pyfly.config_server.storage import ConfigSource, ConfigVersion, check_limit

LIMITS: Final = StoreLimits(read=5.0, listing=120.0, wait=5.0, write=5.0, readers=16, writers=16)
_CONNECTIONS: Final = 64
_LIVE_STALENESS: Final = 10.0
"""Seconds: a look for changes lists the bucket, with one request for every 1,000 objects."""


class S3ConfigBackend(TextStore):
    """Bundles in objects: `<prefix>/<label>/<application>-<profile>.{yaml,yml,json,properties}`.

    The rules for names, formats and saves are those of files (`docs/reference/layout.md`). A
    fetch reads the current objects. Listings are cached for at most `max_staleness` seconds: a
    bundle that another process creates or removes is noticed that much later, a changed bundle at
    once. Every object is verified by its length and its digest. The version of a bundle is the
    version id of the object if the bucket keeps versions, otherwise the entity tag: equal bytes
    have an equal version. A history needs a bucket with versions. Conditional saves and removals
    need a store that supports the conditions. The first `check`, or the first conditional write,
    tests this with a probe object.

    `delete` does not keep author and message: a delete marker of S3 has no metadata.

    Every operation, and every page of a listing, ends within five seconds. Calls run in threads
    of the store.

    Args:
        location: Bucket, prefix, layout and options.
        client: An S3 client of boto3, which is not closed here; give it short timeouts. By
            default a client is made.

    Raises:
        BackendLookupError: The location is not acceptable.
        InvalidConfigKeyError: A label of the location is not acceptable.
    """

    def __init__(self, location: S3Location, *, client: S3Client | None = None) -> None:
        self._location = check_location(location)
        self._owns_client = client is None
        self._client = client or make_client(
            region=location.region, endpoint_url=location.endpoint_url, connections=_CONNECTIONS
        )
        prefix = f"{location.prefix}/" if location.prefix else ""
        bucket = Bucket(self._client, name=location.bucket, prefix=prefix)
        label = location.only_label
        tree = BucketTree(
            bucket,
            location.layout,
            label=label,
            default_label=location.existing_label,
            max_staleness=location.max_staleness,
        )
        super().__init__(tree, location.layout, limits=LIMITS, name="pyfly-config-s3")
        self.max_staleness: Final = max(_LIVE_STALENESS, location.max_staleness)
        self._history = BundleHistory(bucket, ObjectLayout(label=label), self.paths, self.run)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `s3://bucket/prefix`, with `?region=`, `endpoint_url=`, `layout=spring` and more.

        Credentials come from the chain of boto3. No request is sent yet.

        Raises:
            BackendLookupError: The URL is malformed.
            InvalidConfigKeyError: A label or a profile is not acceptable.
        """
        return cls(parse_url(url))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._location.bucket!r}, {self._location.prefix!r})"

    async def history(
        self, key: ConfigKey, *, limit: int = DEFAULT_PAGE_ROWS, before: str | None = None
    ) -> builtins.list[ConfigVersion]:
        """Return at most `limit` changes of the object that a fetch reads, newest first.

        For a bundle in several files, this is the object with the highest precedence. Each change
        needs one more request for its author and message; removals have neither.

        Raises:
            ConfigNotFoundError: `before` is not a version of the object.
            UnsupportedOperationError: The bucket keeps no versions.
            ValueError: `limit` is not from 1 to 1,000.
        """
        check_limit(limit)
        return await self._history.page(key, limit=limit, before=before)

    async def fetch_version(self, key: ConfigKey, version: str) -> ConfigSource | None:
        """Return the bundle as it was at `version`, or `None`.

        Raises:
            UnsupportedOperationError: The bucket keeps no versions.
        """
        return await self._history.load(key, version)

    async def aclose(self) -> None:
        """Wait a moment for running operations, and refuse further calls."""
        await super().aclose()
        if self._owns_client:
            self._client.close()
