"""The files of a bucket, below a prefix."""

import contextlib
import secrets
import time
from collections.abc import Generator, Iterator
from functools import partial
from typing import ClassVar, Final

from pyfly.config_core import ConfigFormatError, ConfigKey
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_s3._bucket import Bucket
from pyfly.config_s3._conditions import ConditionDetector
from pyfly.config_s3._failures import ConditionFailedError
from pyfly.config_s3._integrity import metadata_of
from pyfly.config_s3._listing_cache import ListingCache, Names
from pyfly.config_s3._object_layout import ObjectLayout, is_hidden
from pyfly.config_s3._objects import StoredName, StoredObject, StoredVersion
from pyfly.config_s3._scanner import BucketScanner
from pyfly.config_s3._version_ids import VersionIds
from pyfly.config_s3._views import DIRECTORIES, BucketView, BucketWriter, LabelObjects
from pyfly.config_server.files import (
    ChangeNote,
    FileChanges,
    FilesChangedError,
    Layout,
    Listing,
)
from pyfly.config_server.storage import ResourceEntry

PAGE_SECONDS: Final = 5.0
"""The time limit of one page of a listing."""


class BucketTree:
    """Files in the objects of a bucket. Safe for use from several threads and processes.

    Args:
        bucket: The bucket.
        layout: The rules for file names.
        label: The only label if names do not begin with a label; otherwise `None`.
        default_label: The label that exists without a file.
        max_staleness: The largest age of a listing of names in seconds.
    """

    is_slow: ClassVar = True
    lists_versions: ClassVar = True
    locks_writers: ClassVar = False

    def __init__(
        self,
        bucket: Bucket,
        layout: Layout,
        *,
        label: str | None,
        default_label: str,
        max_staleness: float,
    ) -> None:
        self.label: Final = label
        self._bucket = bucket
        self._layout = layout
        self._objects = ObjectLayout(label=label)
        self._default_label = default_label
        self._listings = ListingCache(self._siblings, max_staleness=max_staleness)
        self._version_ids = VersionIds(bucket, self._all_versions)
        self._conditions = ConditionDetector(bucket)
        self._scanner = BucketScanner()

    # --- reading ----------------------------------------------------------------------

    @contextlib.contextmanager
    def view(self, label: str, *, deadline: float) -> Generator[BucketView | None]:
        """Open the files of a label for reading. No request is sent yet."""
        if not self._objects.has(label):
            yield None
            return
        view = BucketView(objects=self._label(label, deadline), listings=self._listings)
        try:
            yield view
        except ConfigFormatError:  # perhaps of a file that is no longer used
            view.confirm()
            raise
        view.confirm()

    def has_label(self, label: str, *, deadline: float) -> bool:
        """True if the label has a bundle, or if it is the default label."""
        if label == self._default_label:
            return True
        if self.label is not None:
            return label == self.label
        begin = self._objects.begin(label)
        return any(
            self._layout.readings(label, row.name.removeprefix(begin))
            for row in self._rows(begin, deep=False, deadline=deadline)
        )

    def listing(
        self, label: str | None, *, with_versions: bool, deep: bool = False, deadline: float
    ) -> Listing:
        """Return the paths of files, of one label or of all, without hidden files."""
        begin = "" if label is None else self._objects.begin(label)
        if label is not None and not self._objects.has(label):
            return {}
        deep = deep or (label is None and self.label is None)
        rows = [
            row
            for row in self._rows(begin, deep=deep, deadline=deadline)
            if not is_hidden(row.name)
        ]
        versions: dict[str, str | None] = dict.fromkeys(row.name for row in rows)
        if with_versions:
            versions = {**self._version_ids.versions(rows, begin, deadline=deadline)}
        found: dict[str, dict[str, str | None]] = {}
        for name, version in versions.items():
            of_label, file_name = self._objects.split(name)
            if label is not None:
                of_label, file_name = label, self._objects.path(label, name)
            found.setdefault(of_label, {})[file_name] = version
        return found

    def files(self, label: str, *, deadline: float) -> Iterator[ResourceEntry]:
        """Yield all files below a label, without hidden files."""
        if not self._objects.has(label):
            return
        begin = self._objects.begin(label)
        for row in self._rows(begin, deep=True, deadline=deadline):
            path = row.name.removeprefix(begin)
            if not is_hidden(path):
                yield ResourceEntry(path=path, size=row.size, modified=row.modified)

    def looks_lost(self, *, deadline: float) -> bool:
        """False: a bucket that is not reachable answers with an error, not with an empty list."""
        del deadline
        return False

    def changes(self, *, deadline: float) -> FileChanges:
        """List all objects below the prefix, with one request for every 1,000 objects."""
        found = self._scanner.compare(self._rows("", deep=True, deadline=deadline))
        if found.paths:  # what is read after this call sees these names
            self._listings.expire()
        return found

    def check(self, *, deadline: float) -> None:
        """Return if the bucket can be listed. The first time, detect the conditions of writes."""
        self._bucket.names("", deep=True, most=1, deadline=deadline)
        self._conditions.try_once(deadline=deadline)

    # --- writing ----------------------------------------------------------------------

    def is_writable(self) -> bool:
        """True, because only a write shows the permissions of the credentials."""
        return True

    def turn(self, key: ConfigKey) -> str:
        """Return the bundle.

        A store may check the condition of a write shortly before it writes. Writers of one bundle
        in this process therefore go one after the other.
        """
        return str(key)

    @contextlib.contextmanager
    def writer(self, key: ConfigKey, *, deadline: float) -> Generator[BucketWriter]:
        """Open the label of a bundle for one write. Afterwards its names are listed again."""
        try:
            yield BucketWriter(
                objects=self._label(key.label, deadline),
                key=key,
                conditions=self._conditions,
                list_names=partial(self._siblings, deadline=deadline),
            )
        finally:
            self._listings.forget(self._objects.siblings(key))
            self._listings.forget_ending("/" + self._objects.siblings(key))
            self._listings.forget_ending(DIRECTORIES)

    # --- beside the bundles -----------------------------------------------------------

    def read_hidden(self, name: str, *, limit: int, deadline: float) -> bytes | None:
        """Return a hidden object directly below the prefix, `None` if it does not exist."""
        stored = self._bucket.read(name, limit=limit, deadline=deadline)
        return stored.data if isinstance(stored, StoredObject) else None

    def replace_hidden(
        self,
        name: str,
        data: bytes,
        *,
        expected: bytes | None,
        note: ChangeNote,
        deadline: float,
    ) -> None:
        """Replace a hidden object directly below the prefix, in one conditional request.

        Raises:
            UnsupportedOperationError: The store does not honour the condition.
        """
        del note  # the metadata of an object holds little; the text itself says who and why
        support = self._conditions.detect(deadline=deadline)
        stored = self._bucket.read(name, limit=MAX_DOCUMENT_BYTES, deadline=deadline)
        before = stored if isinstance(stored, StoredObject) else None
        if (None if before is None else before.data) != expected:
            raise FilesChangedError(f"'{name}' keeps changing")
        try:
            self._bucket.write(
                name,
                data,
                metadata=metadata_of(data, write=secrets.token_hex(16), author=None, message=None),
                condition=support.create() if before is None else support.replace(before.etag),
                deadline=deadline,
            )
        except ConditionFailedError as error:
            raise FilesChangedError(f"'{name}' keeps changing") from error

    # --- listings ---------------------------------------------------------------------

    def _label(self, label: str, deadline: float) -> LabelObjects:
        return LabelObjects(
            bucket=self._bucket, layout=self._objects, label=label, deadline=deadline
        )

    def _siblings(self, begin: str, *, deadline: float) -> Names:
        if begin == DIRECTORIES or begin.endswith(f"/{DIRECTORIES}"):
            above = begin.removesuffix(DIRECTORIES)
            return frozenset(self._directories(above, deadline))
        return frozenset(row.name for row in self._rows(begin, deep=False, deadline=deadline))

    def _directories(self, begin: str, deadline: float) -> Iterator[str]:
        """Yield the names of the directories directly below a prefix, in pages."""
        token: str | None = None
        while True:
            page, token = self._bucket.directories(
                begin, token=token, deadline=_page_deadline(deadline)
            )
            yield from page
            if token is None:
                return

    def _rows(self, begin: str, *, deep: bool, deadline: float) -> Iterator[StoredName]:
        """Yield the objects with a prefix, in pages."""
        token: str | None = None
        while True:
            page, token = self._bucket.names(
                begin, deep=deep, token=token, deadline=_page_deadline(deadline)
            )
            yield from page
            if token is None:
                return

    def _all_versions(self, begin: str, deadline: float) -> list[StoredVersion]:
        found: list[StoredVersion] = []
        after: tuple[str, str] | None = None
        while True:
            page, after = self._bucket.versions(
                begin, after=after, deadline=_page_deadline(deadline)
            )
            found += page
            if after is None:
                return found


def _page_deadline(deadline: float) -> float:
    return min(deadline, time.monotonic() + PAGE_SECONDS)
