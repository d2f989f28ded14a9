"""The files of one label in a bucket: for reading, and for one write."""

import itertools
import logging
import secrets
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Final, TypeAlias

from pyfly.config_core import ConfigError, ConfigKey
from pyfly.config_s3._bucket import Bucket
from pyfly.config_s3._conditions import ConditionDetector
from pyfly.config_s3._failures import ConditionFailedError
from pyfly.config_s3._integrity import is_of_write, metadata_of
from pyfly.config_s3._listing_cache import ListingCache, Names, result_of
from pyfly.config_s3._object_layout import ObjectLayout, version_of
from pyfly.config_s3._objects import Condition, Match, StoredObject
from pyfly.config_server.files import (
    UNCHANGED,
    ChangeNote,
    FileCondition,
    FileContent,
    FilesChangedError,
    Unchanged,
)
from pyfly.config_server.storage import Precondition

_LOG: Final = logging.getLogger(__name__)

_Identity: TypeAlias = tuple[str, str | None]
"""Entity tag and version."""
_Pages: TypeAlias = Callable[[str], Names]
_Unconfirmed: TypeAlias = tuple[Future[Names], str, Names, Collection[str] | None]
"""A requested listing, what it lists, the names that were used of the old one, and the names that
matter."""
DIRECTORIES: Final = "/"
"""Behind a prefix in the cache of listings: the listing of the directories directly below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelObjects:
    """The objects of one label."""

    bucket: Bucket
    layout: ObjectLayout
    label: str
    deadline: float
    """The time limit of all calls, a time of the monotonic clock."""

    def name(self, path: str) -> str:
        """Return the name of the object at a path."""
        return self.layout.name(self.label, path)

    def read(self, path: str, *, limit: int, known: Hashable) -> FileContent | Unchanged | None:
        """Return a file. The store compares the entity tag if it identifies a version."""
        etag, version_id = _identity(known)
        stored = self.bucket.read(
            self.name(path),
            limit=limit,
            deadline=self.deadline,
            known_etag=None if version_id else etag or None,
        )
        if stored is None or stored is UNCHANGED:
            return stored
        if known == (stored.etag, stored.version_id):
            return UNCHANGED
        return content_of(stored)


def content_of(stored: StoredObject) -> FileContent:
    """Return an object as the content of a file."""
    identity: _Identity = (stored.etag, stored.version_id)
    return FileContent(
        data=stored.data,
        identity=identity,
        version=version_of(stored.etag, stored.version_id),
        modified=stored.modified,
    )


def _identity(known: Hashable) -> _Identity:
    match known:
        case (str() as etag, str() | None as version_id):
            return etag, version_id
        case _:
            return "", None


@dataclass(kw_only=True)
class BucketView:
    """The files of a label. Names come from a cached listing.

    If it is too old, a new listing is requested, and `confirm` waits for it after the files were
    read, because usually nothing has changed.
    """

    objects: LabelObjects
    listings: ListingCache
    _listed: dict[str, str] = field(default_factory=dict[str, str])
    _unconfirmed: list[_Unconfirmed] = field(default_factory=list["_Unconfirmed"])

    def present(self, key: ConfigKey, names: Sequence[str]) -> Sequence[str]:
        """Return the existing names, in the same order. Each directory has a listing."""
        found: list[str] = []
        for begin, listed_together in _by_listing(self.objects.layout, key, names):
            wanted = {self.objects.name(name): name for name in listed_together}
            listed = self._names(begin, str(key), wanted)
            present = [name for whole, name in wanted.items() if whole in listed]
            self._listed |= dict.fromkeys(present, begin)
            found += present
        return found

    def directories(self, path: str) -> Collection[str]:
        """Return the names of the directories directly below a path, without hidden ones."""
        begin = self.objects.name(f"{path}/" if path else "") + DIRECTORIES
        names = self._names(begin, f"{self.objects.label}/{path}", None)
        return [name for name in names if name[0] != "."]

    def _names(self, begin: str, what: str, wanted: Collection[str] | None) -> Names:
        """Return a listing; `confirm` waits for a new one if it is too old.

        Args:
            begin: The prefix.
            what: What is listed, for errors.
            wanted: The names that matter; `None` for all.
        """
        listed = self.listings.fresh(begin)
        if listed is None:
            asked = self.listings.refresh(begin, deadline=self.objects.deadline)
            listed = self.listings.last(begin)
            if listed is None:
                return result_of(asked, self.objects.deadline)
            used = listed if wanted is None else listed & frozenset(wanted)
            self._unconfirmed.append((asked, what, used, wanted))
        return listed

    def read(
        self, path: str, *, limit: int, known: Hashable = None
    ) -> FileContent | Unchanged | None:
        """Return a verified file; `None` if it does not exist.

        Raises:
            FilesChangedError: The file was removed after it was listed.
            ConfigFormatError: The file is larger than `limit`.
        """
        content = self.objects.read(path, limit=limit, known=known)
        if content is None and path in self._listed:
            self.confirm()
            self.listings.discard(self._listed[path])
            raise _disagreement(f"{self.objects.label}/{path}")
        return content

    def confirm(self) -> None:
        """Wait for the requested listings.

        Raises:
            FilesChangedError: They differ from the listings that were used.
        """
        while self._unconfirmed:
            asked, what, used, wanted = self._unconfirmed.pop()
            names = result_of(asked, self.objects.deadline)
            if used != (names if wanted is None else names & frozenset(wanted)):
                raise _disagreement(what)


def _by_listing(
    layout: ObjectLayout, key: ConfigKey, names: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the prefix of each listing with the names that it includes, in the same order."""
    for begin, together in itertools.groupby(names, lambda name: layout.siblings(key, name)):
        yield begin, [*together]


def _disagreement(what: str) -> FilesChangedError:
    return FilesChangedError(f"the listing and the objects of {what} do not agree")


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketWriter:
    """The files of a label for one write."""

    objects: LabelObjects
    key: ConfigKey
    conditions: ConditionDetector
    list_names: _Pages
    """Lists the names with a prefix, without the cache."""
    write: str = field(default_factory=lambda: secrets.token_hex(16))
    """A unique text for this write."""

    def present(self, key: ConfigKey, names: Sequence[str]) -> Sequence[str]:
        """Return the names that exist now, in the same order."""
        found: list[str] = []
        for _, together in _by_listing(self.objects.layout, key, names):
            begin = commonprefix(together)  # noqa: RUF071 - a prefix of texts, not of directories
            listed = self.list_names(self.objects.name(begin))
            found += [name for name in together if self.objects.name(name) in listed]
        return found

    def directories(self, path: str) -> Collection[str]:
        """Return the names of the directories directly below a path now, without hidden ones."""
        begin = self.objects.name(f"{path}/" if path else "")
        return [name for name in self.list_names(begin + DIRECTORIES) if name[0] != "."]

    def read(
        self, path: str, *, limit: int, known: Hashable = None
    ) -> FileContent | Unchanged | None:
        """Return a verified file; `None` if it does not exist."""
        return self.objects.read(path, limit=limit, known=known)

    def replace(
        self,
        name: str,
        data: bytes,
        *,
        obsolete: Sequence[str] = (),
        condition: FileCondition,
        note: ChangeNote,
    ) -> str:
        """Replace or create a file in one conditional request; return its version.

        Raises:
            FilesChangedError: The condition does not hold any more.
            ConfigFormatError: Author and message are longer than S3 keeps.
            UnsupportedOperationError: The store does not honour the condition.
        """
        metadata = metadata_of(data, write=self.write, author=note.author, message=note.message)
        try:
            written = self.objects.bucket.write(
                self.objects.name(name),
                data,
                metadata=metadata,
                condition=self._condition(condition),
                deadline=self.objects.deadline,
            )
            version = version_of(written.etag, written.version_id)
        except ConditionFailedError as error:
            stored = self._version_if_written(name, len(data))
            if stored is None:
                raise self._changed() from error
            version = stored
        self._remove_obsolete(obsolete)
        return version

    def remove(self, names: Sequence[str], *, condition: FileCondition, note: ChangeNote) -> None:
        """Remove files in this order. Author and message are not kept.

        Raises:
            FilesChangedError: The condition does not hold any more.
            UnsupportedOperationError: The store does not honour the condition.
        """
        del note  # a delete marker has no metadata
        match: Match | None = None
        if isinstance(condition, FileContent):
            support = self.conditions.detect(deadline=self.objects.deadline)
            match = support.delete(_identity(condition.identity)[0])
        for place, name in enumerate(names, start=1):
            try:
                self.objects.bucket.remove(
                    self.objects.name(name),
                    condition=match if place == len(names) else None,
                    deadline=self.objects.deadline,
                )
            except ConditionFailedError as error:
                raise self._changed() from error

    def _condition(self, condition: FileCondition) -> Condition:
        if condition is Precondition.ANY:
            return None
        support = self.conditions.detect(deadline=self.objects.deadline)
        if isinstance(condition, FileContent):
            return support.replace(_identity(condition.identity)[0])
        return support.create()

    def _version_if_written(self, name: str, size: int) -> str | None:
        """Return the version of the object if this write has stored it.

        This happens if the response was lost and the condition of the repeated request did not
        hold any more.
        """
        try:
            stored = self.objects.bucket.read(
                self.objects.name(name), limit=size, deadline=self.objects.deadline
            )
        except ConfigError:
            return None
        if not isinstance(stored, StoredObject) or not is_of_write(stored.metadata, self.write):
            return None
        return version_of(stored.etag, stored.version_id)

    def _remove_obsolete(self, names: Sequence[str]) -> None:
        """Remove files that are no longer read. A failure is logged, because the save is done."""
        for name in names:
            try:
                self.objects.bucket.remove(self.objects.name(name), deadline=self.objects.deadline)
            except ConfigError as error:
                _LOG.warning("%s/%s is shadowed and stays: %s", self.objects.label, name, error)

    def _changed(self) -> FilesChangedError:
        return FilesChangedError(f"{self.key} keeps changing")
