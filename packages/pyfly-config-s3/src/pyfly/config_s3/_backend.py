"""The backend that keeps bundles as objects of an S3 bucket."""

import asyncio
import builtins
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final, Self

from pyfly.config_core import (
    DEFAULT_LABEL,
    BackendUnavailableError,
    ConfigFormatError,
    ConfigKey,
    check_name,
    check_path,
)
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS
from pyfly.config_s3._client import Bucket, S3Client, make_client
from pyfly.config_s3._history import BundleHistory
from pyfly.config_s3._names import Places, bundles_in, holds_configuration, is_path, version_of
from pyfly.config_s3._naming import (
    MAX_RESOURCE_BYTES,
    file_names,
    is_bundle,
)
from pyfly.config_s3._probe import PROBE_NAME
from pyfly.config_s3._reader import DEADLINE_SECONDS, BundleReader
from pyfly.config_s3._url import S3Location, check_location, parse_url
from pyfly.config_s3._writer import BundleWriter, Note
from pyfly.config_server.files.threads import Threads
from pyfly.config_server.storage import (
    ANY,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ConfigVersion,
    Expected,
    ResourceEntry,
    check_limit,
)

_LOG: Final = logging.getLogger(__name__)

_THREADS: Final = 16
"""Enough for a request of two profiles: six bundles, two without a profile, four listings."""
_CONNECTIONS: Final = 4 * _THREADS
_LISTING_STEP: Final = 64


class S3ConfigBackend:
    """Bundles in objects: `<prefix>/<label>/<application>-<profile>.{yaml,yml,json,properties}`.

    The rules for names, formats and what a save rewrites are those of files
    (`docs/reference/layout.md`). A fetch reads the objects themselves; which of them exist is
    looked up at most `max_staleness` seconds before, so that a bundle that another process
    creates or removes is noticed that much later, a changed one at once. Every object is verified,
    by length and digest. The version of a bundle is the one of the bucket where it keeps
    versions, else the entity tag: equal bytes, equal version. A history needs a bucket with
    versions; conditional saves and removals need a store that honours the conditions, which is
    tried with an object of its own by the first `check`, at the latest before the first of them.

    Every operation, and every page of a listing, ends within five seconds, in threads of its own.

    Args:
        location: Bucket, prefix and how they are read.
        client: An S3 client of boto3, not closed here; give it short timeouts. One is made where
            none is given.

    Raises:
        BackendLookupError: The location is not acceptable.
        InvalidConfigKeyError: A label of the location is not acceptable.
    """

    has_base_bundles: Final = True

    def __init__(self, location: S3Location, *, client: S3Client | None = None) -> None:
        self._location = check_location(location)
        self._owns_client = client is None
        self._client = client or make_client(
            region=location.region, endpoint_url=location.endpoint_url, connections=_CONNECTIONS
        )
        prefix = f"{location.prefix}/" if location.prefix else ""
        self._bucket = Bucket(self._client, name=location.bucket, prefix=prefix)
        self.default_is_base: Final = location.flat_label is None
        self._places = Places(flat_label=location.flat_label)
        self._threads = Threads(_THREADS, name="pyfly-config-s3")
        self._reader = BundleReader(
            self._bucket, self._places, self._threads, max_staleness=location.max_staleness
        )
        self._writer = BundleWriter(self._bucket, self._places)
        self._history = BundleHistory(self._bucket, self._places, self._reader)
        self._closed = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `s3://bucket/prefix`, with `?region=`, `endpoint_url=`, `layout=flat` and more.

        Credentials come from boto3's own chain; nothing is asked of the store yet.

        Raises:
            BackendLookupError: The URL is not written as it should be.
            InvalidConfigKeyError: A label is not acceptable.
        """
        return cls(parse_url(url))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._location.bucket!r}, {self._location.prefix!r})"

    # --- reading ----------------------------------------------------------------------

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return what the first of `.yaml`, `.yml`, `.json`, `.properties` holds, or `None`."""
        key = ConfigKey(application=application, profile=profile, label=label)
        return await self._find(key)

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> builtins.list[ConfigSource | None]:
        """Return what `fetch` returns for each key, in the same order, read in parallel."""
        self._check_open()
        return await asyncio.gather(*(self._find(key) for key in keys))

    async def open_resource(self, label: str, path: str) -> ConfigResource | None:
        """Return the object at `path` under a label, or `None`.

        Raises:
            InvalidConfigKeyError: The path is not acceptable.
            ConfigFormatError: It is larger than 10 MiB.
        """
        check_name("label", label)
        check_path(path)
        self._check_open()
        if not self._places.has(label):
            return None
        name = self._places.of(label, path)
        try:
            found = await self._reader.run(
                partial(self._bucket.read, name, limit=MAX_RESOURCE_BYTES)
            )
        except ConfigFormatError as error:
            raise error.at(f"{label}/{path}") from error
        if found is None:
            return None
        return ConfigResource(content=found.data, modified=found.modified)

    async def resources(self, label: str) -> AsyncIterator[ResourceEntry]:
        """Yield the objects under a label, ordered by path; bundles are not among them."""
        check_name("label", label)
        self._check_open()
        if not self._places.has(label):
            return
        begin = self._places.begin(label)
        found: dict[str, ResourceEntry] = {}
        async for page in self._reader.pages(begin, deep=True):
            for row in page:
                path = row.name.removeprefix(begin)
                if is_path(path) and ("/" in path or not is_bundle(path)):
                    found[path] = ResourceEntry(path=path)
        for path in sorted(found):
            yield found[path]

    async def _find(self, key: ConfigKey) -> ConfigSource | None:
        self._check_open()
        return await self._reader.find(key, file_names=file_names(key))

    # --- listing ----------------------------------------------------------------------

    async def list(self) -> builtins.list[ConfigSource]:
        """Return every readable bundle, ordered by label, application, profile."""
        self._check_open()
        bundles = [*(await self._bundles(None)).items()]
        found: builtins.list[ConfigSource] = []
        for start in range(0, len(bundles), _LISTING_STEP):
            step = bundles[start : start + _LISTING_STEP]
            read = await asyncio.gather(*(self._listed(key, name) for key, (name, _) in step))
            found += [source for source in read if source is not None]
        return found

    async def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield the name and version of every bundle, ordered by label, application, profile.

        Nothing but listings is read: what is wrong with a bundle is not noticed. In a bucket with
        versions all of them are listed, old ones too.
        """
        self._check_open()
        bundles = await self._bundles(label)
        first = next(iter(bundles.items()), None)
        if first is not None and await self._has_version_ids(*first):
            bundles = await self._latest(label)
        for key, (_, version) in bundles.items():
            if (label is None or key.label == label) and (
                after is None or key.sort_key > after.sort_key
            ):
                yield ConfigEntry(key=key, version=version)

    async def has_label(self, label: str) -> bool:
        """Tell whether a bundle carries the label, or it is the default label."""
        check_name("label", label)
        self._check_open()
        if self._location.flat_label is not None or label == self._location.default_label:
            return label in {self._location.flat_label, self._location.default_label}
        begin = self._places.begin(label)
        async for page in self._reader.pages(begin, deep=False):
            if holds_configuration(row.name.removeprefix(begin) for row in page):
                return True
        return False

    async def labels(self) -> builtins.list[str]:
        """Return the labels that carry a bundle, sorted."""
        self._check_open()
        return sorted({key.label for key in await self._bundles(None)})

    async def change_token(self) -> str:
        """Return a digest of a listing of everything below the prefix, bundles and plain files."""
        self._check_open()
        digest = hashlib.sha256()
        async for page in self._reader.pages("", deep=True):
            for row in page:
                if not row.name.startswith(PROBE_NAME):
                    digest.update(repr((row.name, row.etag, row.modified)).encode())
        return digest.hexdigest()

    async def _bundles(self, label: str | None) -> dict[ConfigKey, tuple[str, str]]:
        """List the bundles with their files and entity tags, in order."""
        tags: dict[str, str] = {}
        begin = "" if label is None else self._places.begin(label)
        deep = label is None and self._location.flat_label is None
        async for page in self._reader.pages(begin, deep=deep):
            tags |= {row.name: row.etag for row in page}
        return bundles_in(self._places, tags)

    async def _latest(self, label: str | None) -> dict[ConfigKey, tuple[str, str]]:
        """List the bundles with the versions that the bucket gave them."""
        rows = await self._reader.versions("" if label is None else self._places.begin(label))
        return bundles_in(
            self._places,
            {
                row.name: version_of(row.etag, row.version_id)
                for row in rows
                if row.latest and not row.removed
            },
        )

    async def _has_version_ids(self, key: ConfigKey, found: tuple[str, str]) -> bool:
        name = self._places.of(key.label, found[0])
        stored = await self._reader.run(partial(self._bucket.describe, name, version_id=None))
        return stored is None or stored.version_id is not None

    async def _listed(self, key: ConfigKey, file_name: str) -> ConfigSource | None:
        try:
            return await self._reader.load(key, file_name)
        except ConfigFormatError as error:
            _LOG.warning("left out of the listing: %s", error)
            return None

    # --- writing ----------------------------------------------------------------------

    async def save(self, source: ConfigSource) -> None:
        """Replace the bundle.

        Raises:
            ConfigObstructedError: A `.properties` file of that name or a file of several
                documents is in the way.
        """
        await self.commit(source, expected=ANY)

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Replace the bundle if `expected` holds; return the version of the new object.

        Raises:
            ConfigConflictError: `expected` does not hold.
            ConfigObstructedError: As `save`.
            ConfigFormatError: Author and message are longer than S3 keeps.
            UnsupportedOperationError: The store does not honour the condition.
        """
        self._check_open()
        note = Note(author=author, message=message)
        try:
            return await self._reader.run(partial(self._writer.save, source, expected, note))
        finally:
            self._reader.forget(source.key)

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,  # noqa: ARG002 - a removal has no metadata
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> None:
        """Remove the bundle's objects, those shadowed by others first.

        Raises:
            ConfigConflictError: `expected` does not hold.
            ConfigObstructedError: As `save`.
            UnsupportedOperationError: The store does not honour the condition of a removal.
        """
        self._check_open()
        try:
            await self._reader.run(partial(self._writer.delete, key, expected))
        finally:
            self._reader.forget(key)

    # --- history ----------------------------------------------------------------------

    async def history(
        self, key: ConfigKey, *, limit: int = DEFAULT_PAGE_ROWS, before: str | None = None
    ) -> builtins.list[ConfigVersion]:
        """Return at most `limit` changes of the object that a fetch reads, newest first.

        Each of them is one request more, for its author and message.

        Raises:
            ConfigNotFoundError: `before` is no version of the object.
            UnsupportedOperationError: The bucket keeps no versions.
            ValueError: `limit` is not from 1 to 1,000.
        """
        check_limit(limit)
        self._check_open()
        return await self._history.page(key, limit=limit, before=before)

    async def fetch_version(self, key: ConfigKey, version: str) -> ConfigSource | None:
        """Return the bundle as it was at `version`, or `None`.

        Raises:
            UnsupportedOperationError: The bucket keeps no versions.
        """
        self._check_open()
        return await self._history.load(key, version)

    # --- owning -----------------------------------------------------------------------

    async def check(self) -> None:
        """Return when the bucket can be listed.

        The first time, at start-up, the store is also asked which conditions it honours, with an
        object that is removed again; whatever becomes of that, the bucket is served.

        Raises:
            BackendUnavailableError: It is not there, or the store does not answer.
            BackendAccessDeniedError: It may not be listed.
        """
        self._check_open()
        await self._reader.run(self._look_around)

    def _look_around(self, *, deadline: float) -> None:
        self._bucket.names("", deep=True, most=1, deadline=deadline)
        self._writer.learn_what_is_honoured(deadline=deadline)

    async def aclose(self) -> None:
        """Wait a moment for what is under way; refuse everything afterwards."""
        self._closed = True
        await self._threads.close(deadline=time.monotonic() + DEADLINE_SECONDS)
        if self._owns_client:
            self._client.close()

    def _check_open(self) -> None:
        if self._closed:
            raise BackendUnavailableError("the backend is closed")
