"""Access tokens: random texts that leak scanners recognise, of which only digests are stored."""

import hashlib
import re
import secrets
import zlib
from typing import Final

__all__ = ["SHARED_TOKEN", "TOKEN_PATTERN", "TOKEN_PREFIX", "digest_of", "is_token", "make_token"]

TOKEN_PREFIX: Final = "pfct_"  # noqa: S105 - the beginning of every token, not a secret
"""The beginning of every token, by which scanners find tokens in logs and repositories."""
TOKEN_PATTERN: Final = r"pfct_[0-9A-Za-z]{49}"  # noqa: S105 - the form of a token
"""The regular expression of a token, for the rules of leak scanners."""
SHARED_TOKEN: Final = "shared-token"  # noqa: S105 - a name, not a secret
"""The name of the principal with the shared token of a server; no other principal may have it."""

_BITS: Final = 256
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 6
_FORM: Final = re.compile(TOKEN_PATTERN.encode())


def make_token() -> str:
    """Return a new token of 256 random bits.

    It has the form of the tokens of GitHub: a prefix, the random bits in base 62, and the CRC-32 of
    that text in base 62, by which scanners tell tokens from other texts without asking a server.

    >>> is_token(make_token().encode())
    True
    """
    secret = _base62(secrets.randbits(_BITS), _SECRET_LENGTH)
    return f"{TOKEN_PREFIX}{secret}{_checksum(secret)}"


def is_token(text: bytes) -> bool:
    """True if a text has the form of a token, so that no person has chosen it.

    The checksum is left to scanners.
    """
    return _FORM.fullmatch(text) is not None


def digest_of(token: bytes) -> bytes:
    """Return the SHA-256 of a token, which is all that is stored of it.

    A slow or keyed hash would add nothing to 256 random bits.
    """
    return hashlib.sha256(token).digest()


def _checksum(secret: str) -> str:
    return _base62(zlib.crc32(secret.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
