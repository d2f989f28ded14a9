"""Verifying objects, and the metadata for it. Pure functions."""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, unquote

from pyfly.config_core import ConfigFormatError

MAX_NOTE_BYTES: Final = 1500
"""Author and message together, encoded; S3 keeps 2 KB beside an object."""

CHECKSUMS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "ChecksumCRC32": lambda data: zlib.crc32(data).to_bytes(4),
    "ChecksumSHA1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "ChecksumSHA256": lambda data: hashlib.sha256(data).digest(),
}
"""The verified checksums of S3, by their names in boto3."""

_DIGEST: Final = "pyfly-sha256"
_WRITE: Final = "pyfly-write"
_AUTHOR: Final = "pyfly-author"
_MESSAGE: Final = "pyfly-message"
_MD5: Final = re.compile(r"[0-9a-f]{32}")


def metadata_of(
    data: bytes, *, write: str, author: str | None, message: str | None
) -> dict[str, str]:
    """Return the metadata of an object.

    Args:
        data: The object.
        write: A unique text for this write.
        author: The author; percent-encoded, because metadata is ASCII.
        message: The reason; percent-encoded.

    Raises:
        ConfigFormatError: Author and message are too long.
    """
    notes = {_AUTHOR: author, _MESSAGE: message}
    encoded = {name: quote(text, safe=" ") for name, text in notes.items() if text is not None}
    if (size := sum(map(len, encoded.values()))) > MAX_NOTE_BYTES:
        raise ConfigFormatError(
            f"author and message take {size:,} bytes encoded, more than {MAX_NOTE_BYTES:,}"
        )
    return {_DIGEST: hashlib.sha256(data).hexdigest(), _WRITE: write, **encoded}


def notes_of(metadata: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return author and message."""
    author, message = metadata.get(_AUTHOR), metadata.get(_MESSAGE)
    return author and unquote(author), message and unquote(message)


def is_of_write(metadata: Mapping[str, str], write: str) -> bool:
    """True if an object was stored by this write."""
    return metadata.get(_WRITE) == write


def content_md5(data: bytes) -> str:
    """Return the MD5 digest in hexadecimal, as most stores use for entity tags."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def is_md5(etag: str) -> bool:
    """True if an entity tag looks like an MD5 digest; that of a multipart upload does not."""
    return _MD5.fullmatch(etag) is not None


def damage_of(
    data: bytes,
    *,
    metadata: Mapping[str, str],
    etag: str | None,
    checksums: Mapping[str, str],
    length: int | None,
) -> str | None:
    """Return the damage of a received object, `None` if it is intact.

    A checksum of the store decides. Without one, the digest in the metadata or the entity tag must
    match the bytes. One of them is enough, because other tools keep the metadata when they replace
    an object. Without both, only the length is checked.

    Args:
        data: The received bytes.
        metadata: The metadata of the object.
        etag: The entity tag if it is a digest of the content.
        checksums: The checksums of the store in base64, by the names in `CHECKSUMS`.
        length: The length in the response.
    """
    if length is not None and length != len(data):
        return "it is truncated"
    known = [(told, _base64(CHECKSUMS[name](data))) for name, told in checksums.items()]
    if not known:
        own = metadata.get(_DIGEST)
        known += [] if own is None else [(own, hashlib.sha256(data).hexdigest())]
        known += [(etag, content_md5(data))] if etag is not None and is_md5(etag) else []
    if known:
        agrees = any(told == found for told, found in known)
        return None if agrees else "its bytes do not match its digest"
    return None if length is not None else "it has neither a length nor a digest"


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
