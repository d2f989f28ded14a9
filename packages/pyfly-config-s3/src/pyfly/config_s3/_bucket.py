"""The objects of a bucket. Blocking calls; names are relative to a prefix."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from pyfly.config_core import BackendUnavailableError, ConfigFormatError
from pyfly.config_s3._client import (
    S3Client,
    check_time,
    error_code,
    http_status,
    translated,
)
from pyfly.config_s3._failures import (
    DamagedError,
    says_absent,
    says_no_version,
    says_removed,
)
from pyfly.config_s3._integrity import content_md5, is_md5
from pyfly.config_s3._objects import (
    Condition,
    Match,
    StoredName,
    StoredObject,
    StoredVersion,
    Written,
)
from pyfly.config_s3._responses import (
    digest_tag,
    headers_of,
    name_row,
    verified_object,
    version_row,
    written_of,
)
from pyfly.config_server.files import UNCHANGED, Unchanged

_PIECE: Final = 65_536
_NOT_MODIFIED: Final = 304
_NOT_FOUND: Final = 404
_NOT_IMPLEMENTED: Final = 501
_CONTENT_TYPES: Final = {
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".json": "application/json",
}


class Bucket:
    """The objects of one bucket below one prefix. Safe for use from several threads.

    Every method checks its deadline, a time of the monotonic clock, before it sends a request.

    Args:
        client: A client of boto3. Its owner closes it.
        name: The bucket.
        prefix: Empty, or ends with a slash.
    """

    def __init__(self, client: S3Client, *, name: str, prefix: str) -> None:
        self.name = name
        self.prefix = prefix
        self._client = client

    def read(
        self,
        name: str,
        *,
        limit: int,
        deadline: float,
        version_id: str | None = None,
        known_etag: str | None = None,
    ) -> StoredObject | Unchanged | None:
        """Return a verified object; `None` if there is none. A damaged object is read twice.

        Args:
            name: The object.
            limit: The largest size in bytes.
            deadline: A time of the monotonic clock.
            version_id: The version to read; by default the current version.
            known_etag: The entity tag of the content that the caller has. If the object still has
                it, the result is `UNCHANGED`.

        Raises:
            ConfigFormatError: The object is larger than `limit`.
            BackendUnavailableError: The object arrived damaged twice, or not at all.
        """
        try:
            return self._read(name, limit, deadline, version_id, known_etag)
        except DamagedError:
            pass
        try:
            return self._read(name, limit, deadline, version_id, known_etag)
        except DamagedError as error:
            raise BackendUnavailableError(
                f"'{name}' arrived damaged twice and is not served: {error}"
            ) from error

    def _read(
        self,
        name: str,
        limit: int,
        deadline: float,
        version_id: str | None,
        known_etag: str | None,
    ) -> StoredObject | Unchanged | None:
        extra = {} if version_id is None else {"VersionId": version_id}
        extra |= {} if known_etag is None else {"IfNoneMatch": f'"{known_etag}"'}
        with translated(f"read '{name}'", deadline):
            try:
                answer = self._client.get_object(**self._place(name), **extra)
            except ClientError as error:
                if says_absent(error_code(error)):
                    return None
                if known_etag is not None and http_status(error) == _NOT_MODIFIED:
                    return UNCHANGED
                if known_etag is not None and http_status(error) == _NOT_IMPLEMENTED:
                    return self._read(name, limit, deadline, version_id, None)
                raise
            with answer["Body"] as body:
                return verified_object(answer, _content(body, answer, limit, deadline))

    def describe(self, name: str, *, version_id: str | None, deadline: float) -> Written | None:
        """Return the entity tag and version of an object; `None` if there is none."""
        found = self._head(name, version_id, deadline)
        return None if found is None else written_of(found)

    def metadata(self, name: str, *, version_id: str, deadline: float) -> Mapping[str, str]:
        """Return the metadata of a version; empty if it was removed."""
        found = self._head(name, version_id, deadline)
        return {} if found is None else found.get("Metadata", {})

    def _head(self, name: str, version_id: str | None, deadline: float) -> dict[str, Any] | None:
        extra = {} if version_id is None else {"VersionId": version_id}
        with translated(f"look at '{name}'", deadline):
            try:
                answer: dict[str, Any] = self._client.head_object(**self._place(name), **extra)
            except ClientError as error:
                if http_status(error) == _NOT_FOUND:  # such a response has no body
                    return None
                raise
            return answer

    def names(
        self, begin: str, *, deep: bool, token: str | None = None, deadline: float, most: int = 1000
    ) -> tuple[list[StoredName], str | None]:
        """Return one page of a listing, and the token of the next page, `None` at the end.

        Args:
            begin: The prefix of the names.
            deep: True to list names with a further slash after the prefix, too.
            token: The token from the previous page.
            deadline: Of the monotonic clock.
            most: The number of names at most.
        """
        rows, _, following = self._page(begin, token, deadline, most=most, deep=deep)
        return rows, following

    def directories(
        self, begin: str, *, token: str | None, deadline: float
    ) -> tuple[list[str], str | None]:
        """Return one page of the names between a prefix and the next slash, as `names` does."""
        _, directories, following = self._page(begin, token, deadline)
        return directories, following

    def _page(
        self,
        begin: str,
        token: str | None,
        deadline: float,
        *,
        deep: bool = False,
        most: int = 1000,
    ) -> tuple[list[StoredName], list[str], str | None]:
        """Return the names and the directories of a page, and the token of the next page."""
        extra: dict[str, Any] = {} if token is None else {"ContinuationToken": token}
        extra |= {} if deep else {"Delimiter": "/"}
        with translated("list the bucket", deadline):
            whole = self.prefix + begin
            answer = self._client.list_objects_v2(
                Bucket=self.name, Prefix=whole, MaxKeys=most, **extra
            )
            self._check_listing(answer, begin)
            rows = [name_row(row, prefix=self.prefix) for row in answer.get("Contents", ())]
            prefixes = [row["Prefix"] for row in answer.get("CommonPrefixes", ())]
            count = len(rows) + len(prefixes)
            if answer.get("KeyCount", count) != count:
                raise BackendUnavailableError("a listing of the bucket arrived incomplete")
            following: str | None = answer.get("NextContinuationToken")
            if answer["IsTruncated"] and (following is None or following == token):
                raise BackendUnavailableError("a listing of the bucket repeats a page")
            directories = [one.removeprefix(whole).removesuffix("/") for one in prefixes]
            return rows, directories, following if answer["IsTruncated"] else None

    def version_tag(self, name: str, *, version_id: str, deadline: float) -> str | None:
        """Return the entity tag of a version, empty for a removal; `None` if there is none."""
        with translated(f"look at a version of '{name}'", deadline):
            try:
                answer = self._client.head_object(**self._place(name), VersionId=version_id)
            except ClientError as error:
                headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
                if says_removed(http_status(error), headers):
                    return ""
                if says_no_version(http_status(error)):
                    return None
                raise
            return written_of(answer).etag

    def versions(
        self,
        begin: str,
        *,
        after: tuple[str, str] | None = None,
        deadline: float,
        most: int = 1000,
    ) -> tuple[list[StoredVersion], tuple[str, str] | None]:
        """Return one page of all versions, newest first for each name, and the next position.

        Args:
            begin: The prefix of the names.
            after: The last name and version of the previous page.
            deadline: Of the monotonic clock.
            most: The number of versions at most.
        """
        extra: dict[str, str] = {}
        if after is not None:
            extra = {"KeyMarker": self.prefix + after[0], "VersionIdMarker": after[1]}
        with translated("list the versions in the bucket", deadline):
            answer = self._client.list_object_versions(
                Bucket=self.name, Prefix=self.prefix + begin, MaxKeys=most, **extra
            )
            self._check_listing(answer, begin)
            # Removals first: within a second, a removal usually follows the version it removes.
            rows = [
                version_row(row, prefix=self.prefix, removed=True)
                for row in answer.get("DeleteMarkers", ())
            ]
            rows += [
                version_row(row, prefix=self.prefix, removed=False)
                for row in answer.get("Versions", ())
            ]
            rows.sort(key=lambda row: (row.latest, row.modified), reverse=True)
            if not answer["IsTruncated"]:
                return rows, None
            following = (answer["NextKeyMarker"][len(self.prefix) :], answer["NextVersionIdMarker"])
            if following == after:
                raise BackendUnavailableError("a listing of the bucket repeats a page")
            # The store knows the order within a second, and so where the next page begins.
            rows.sort(key=lambda row: (row.name, row.version_id) == following)
            return rows, following

    def _check_listing(self, answer: Mapping[str, Any], begin: str) -> None:
        """Refuse a response that is not a listing, such as a page of a proxy."""
        if not isinstance(answer.get("IsTruncated"), bool) or answer.get("Name") != self.name:
            raise BackendUnavailableError(
                "cannot list the bucket: the response does not come from an S3 store"
            )
        if answer.get("Prefix", "") != self.prefix + begin:
            raise BackendUnavailableError(
                "cannot list the bucket: the response belongs to another request"
            )

    def write(
        self,
        name: str,
        data: bytes,
        *,
        metadata: Mapping[str, str],
        condition: Condition,
        deadline: float,
    ) -> Written:
        """Store an object if the condition holds. The store refuses a body damaged in transit.

        Raises:
            ConditionFailedError: The condition does not hold, or there was a concurrent write.
            UnsupportedOperationError: The store does not support the condition.
        """
        suffix = name[name.rfind(".") :]
        with translated(f"save '{name}'", deadline, conditional=condition is not None):
            answer = self._client.put_object(
                **self._place(name),
                Body=data,
                ContentType=_CONTENT_TYPES.get(suffix, "application/octet-stream"),
                ContentMD5=base64.b64encode(
                    hashlib.md5(data, usedforsecurity=False).digest()
                ).decode(),
                Metadata=metadata,
                **headers_of(condition),
            )
            written = written_of(answer)
            tag = digest_tag(answer)
            if tag is not None and is_md5(tag) and tag != content_md5(data):
                raise BackendUnavailableError(f"the stored bytes of '{name}' are not those sent")
            return written

    def remove(
        self,
        name: str,
        *,
        deadline: float,
        condition: Match | None = None,
        version_id: str | None = None,
    ) -> str | None:
        """Remove an object, or one version permanently; return the version of the delete marker.

        Raises:
            ConditionFailedError: The condition does not hold.
            UnsupportedOperationError: The store does not support the condition.
        """
        extra = {} if version_id is None else {"VersionId": version_id}
        with translated(f"delete '{name}'", deadline, conditional=condition is not None):
            answer = self._client.delete_object(
                **self._place(name), **headers_of(condition), **extra
            )
            mark: str | None = answer.get("VersionId")
            return mark

    def has_versions(self, *, deadline: float) -> bool:
        """True if the bucket keeps old versions, or kept them before."""
        with translated("ask whether the bucket keeps versions", deadline):
            return "Status" in self._client.get_bucket_versioning(Bucket=self.name)

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self.name, "Key": self.prefix + name}


def _content(body: Any, answer: Mapping[str, Any], limit: int, deadline: float) -> bytes:
    if (answer.get("ContentLength") or 0) > limit:
        raise ConfigFormatError(f"larger than {limit:,} bytes")
    pieces: list[bytes] = []
    size = 0
    while piece := body.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise ConfigFormatError(f"larger than {limit:,} bytes")
        check_time(deadline)
    return b"".join(pieces)
