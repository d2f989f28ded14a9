"""Tokens: random, recognisable, and stored as digests only."""

import hashlib
import re
import zlib

import pytest

from pyfly.config_server.access.tokens import TOKEN_PATTERN, digest_of, is_token, make_token

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def number_of(text: str) -> int:
    number = 0
    for character in text:
        number = number * 62 + ALPHABET.index(character)
    return number


def test_a_token_holds_256_random_bits_and_their_checksum() -> None:
    tokens = [make_token() for _ in range(500)]
    numbers = [number_of(token[5:48]) for token in tokens]
    assert len({*numbers}) == 500
    assert all(number < 2**256 for number in numbers)
    # each bit is set in about half of the tokens: 250, with a standard deviation of 11
    for bit in range(256):
        assert 150 < sum(number >> bit & 1 for number in numbers) < 350
    for token in tokens:
        assert re.fullmatch(TOKEN_PATTERN, token)
        assert number_of(token[48:]) == zlib.crc32(token[5:48].encode())
        assert is_token(token.encode())


@pytest.mark.parametrize("text", [b"", b"open sesame", b"pfct_", b"PFCT_" + b"0" * 49])
def test_what_a_person_writes_is_no_token(text: bytes) -> None:
    assert not is_token(text)
    assert not is_token(make_token().encode() + b"\n")
    assert not is_token(make_token().encode()[:-1] + b"-")


def test_the_digest_is_sha_256() -> None:
    assert digest_of(b"abc") == hashlib.sha256(b"abc").digest()
