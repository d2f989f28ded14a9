"""From parsed responses of boto3 to values, and from conditions to arguments of boto3.

Pure functions. A response without the fields that every store sends is refused.
"""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from pyfly.config_core import BackendUnavailableError
from pyfly.config_s3._failures import DamagedError
from pyfly.config_s3._integrity import CHECKSUMS, damage_of
from pyfly.config_s3._objects import (
    Condition,
    Match,
    StoredName,
    StoredObject,
    StoredVersion,
    Written,
)


def name_row(row: Mapping[str, Any], *, prefix: str) -> StoredName:
    """Return a row of a listing."""
    return StoredName(
        name=row["Key"][len(prefix) :],
        etag=plain_tag(row["ETag"]),
        size=row["Size"],
        modified=row["LastModified"].astimezone(UTC),
    )


def version_row(row: Mapping[str, Any], *, prefix: str, removed: bool) -> StoredVersion:
    """Return a row of a listing of versions."""
    return StoredVersion(
        name=row["Key"][len(prefix) :],
        etag="" if removed else plain_tag(row["ETag"]),
        version_id=row["VersionId"],
        modified=row["LastModified"].astimezone(UTC),
        latest=row["IsLatest"],
        removed=removed,
    )


def verified_object(answer: Mapping[str, Any], data: bytes) -> StoredObject:
    """Return the object.

    Raises:
        DamagedError: The object is damaged, or the response does not come from an S3 store.
    """
    if "ETag" not in answer or "LastModified" not in answer:
        raise DamagedError("the response does not come from an S3 store")
    damage = damage_of(
        data,
        metadata=answer.get("Metadata", {}),
        etag=digest_tag(answer),
        checksums={  # a checksum with a dash belongs to the parts of an object
            name: answer[name] for name in CHECKSUMS if "-" not in answer.get(name, "-")
        },
        length=answer.get("ContentLength"),
    )
    if damage is not None:
        raise DamagedError(damage)
    return StoredObject(
        data=data,
        etag=plain_tag(answer["ETag"]),
        version_id=answer.get("VersionId"),
        metadata=answer.get("Metadata", {}),
        modified=answer["LastModified"].astimezone(UTC),
    )


def digest_tag(answer: Mapping[str, Any]) -> str | None:
    """Return the entity tag if it can be a digest. Tags of encrypted objects are not digests."""
    encrypted = answer.get("ServerSideEncryption", "AES256") != "AES256"
    if encrypted or "SSECustomerAlgorithm" in answer:
        return None
    return plain_tag(answer["ETag"])


def written_of(answer: Mapping[str, Any]) -> Written:
    """Return entity tag and version of a written object.

    Raises:
        BackendUnavailableError: The response does not come from an S3 store.
    """
    if "ETag" not in answer:
        raise BackendUnavailableError(
            "the response does not come from an S3 store; the outcome is unknown"
        )
    return Written(etag=plain_tag(answer["ETag"]), version_id=answer.get("VersionId"))


def plain_tag(etag: str) -> str:
    """Return an entity tag without its quotes."""
    return etag.removeprefix("W/").strip('"')


def headers_of(condition: Condition) -> dict[str, str]:
    """Return the arguments of boto3 for a condition."""
    if condition is None:
        return {}
    if isinstance(condition, Match):
        return {"IfMatch": f'"{condition.etag}"' if condition.quoted else condition.etag}
    return {"IfNoneMatch": "*"}
