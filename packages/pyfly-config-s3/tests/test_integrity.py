import base64
import hashlib
import zlib
from collections.abc import Mapping

import pytest

from pyfly.config_core import ConfigFormatError
from pyfly.config_s3._integrity import damage_of, is_of_write, metadata_of, notes_of

DATA = b"n: 1\n"
OURS = metadata_of(DATA, write="w", author=None, message=None)
MD5 = hashlib.md5(DATA).hexdigest()
CRC = {"ChecksumCRC32": base64.b64encode(zlib.crc32(DATA).to_bytes(4)).decode()}
SHA = {"ChecksumSHA256": base64.b64encode(hashlib.sha256(DATA).digest()).decode()}
WRONG = {"ChecksumCRC32": "AAAAAA=="}


@pytest.mark.parametrize(
    ("metadata", "etag", "checksums", "length", "whole"),
    [
        (OURS, MD5, CRC, 5, True),
        ({}, None, CRC, None, True),
        ({}, None, SHA, None, True),
        (OURS, MD5, WRONG, 5, False),
        (OURS, None, {}, None, True),
        ({}, MD5, {}, None, True),
        ({}, "of-parts-2", {}, 5, True),
        ({}, "of-parts-2", {}, None, False),
        ({}, None, {}, None, False),
        (OURS, MD5, {}, 6, False),
        ({"pyfly-sha256": "of before"}, MD5, {}, 5, True),
        ({"pyfly-sha256": "of before"}, "f" * 32, {}, 5, False),
        ({}, "f" * 32, {}, 5, False),
    ],
)
def test_an_object_is_whole_when_something_says_so_and_nothing_otherwise(
    metadata: Mapping[str, str],
    etag: str | None,
    checksums: Mapping[str, str],
    length: int | None,
    whole: bool,
) -> None:
    damage = damage_of(DATA, metadata=metadata, etag=etag, checksums=checksums, length=length)
    assert (damage is None) is whole


@pytest.mark.parametrize("text", ["ada", "Ωμέγα", "two\nlines", "100 % = 50%25", " x ", ""])
def test_notes_come_back_and_are_ascii_on_the_way(text: str) -> None:
    metadata = metadata_of(DATA, write="w", author=text, message=None)
    assert all(value.isascii() and "\n" not in value for value in metadata.values())
    assert notes_of(metadata) == (text, None)
    assert notes_of({}) == (None, None)


def test_notes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigFormatError, match="1,501 bytes encoded"):
        metadata_of(DATA, write="w", author="a", message="b" * 1500)


def test_a_write_knows_its_own() -> None:
    assert is_of_write(OURS, "w")
    assert not is_of_write(OURS, "v")
    assert not is_of_write({}, "w")
