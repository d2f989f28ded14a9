"""Cipher texts that are bound to an application and a key: `{cipher}v1:KEYID:BASE64URL`.

The format is described in docs/reference/protocol.md. AES-256-GCM itself comes from the caller,
because this package needs no library. Pure functions, except for random numbers.
"""

import base64
import binascii
import os
import re
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from pyfly.config_core.errors import CipherError, EncryptionKeyError
from pyfly.config_core.property_names import canonical, is_index

__all__ = [
    "CIPHER_MARK",
    "Aead",
    "BoundCiphers",
    "bound_name",
    "is_bound",
    "key_bytes",
    "key_id_of",
]

CIPHER_MARK: Final = "{cipher}"
"""The beginning of a stored value that is encrypted."""

_VERSION: Final = "v1"
_BEGIN: Final = f"{_VERSION}:"
"""No cipher text of Spring has a colon outside of braces, so none begins like this."""
_TEXT: Final = re.compile(r"v1:([A-Za-z0-9._-]{1,64}):([A-Za-z0-9_-]+)")
_KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NONCE_BYTES: Final = 12
_DAMAGED: Final = "the text is damaged"
_NOT_FOR_THIS_PLACE: Final = (
    "the text was not encrypted for this application and key, or was changed"
)
_KEY_BYTES: Final = 32


class Aead(Protocol):
    """Authenticated encryption with one key."""

    def seal(self, nonce: bytes, clear: bytes, context: bytes) -> bytes:
        """Return the encrypted bytes, bound to `context`."""
        ...

    def unseal(self, nonce: bytes, body: bytes, context: bytes) -> bytes:
        """Return the clear bytes.

        Raises:
            CipherError: They were sealed with another key or context, or were changed.
        """
        ...


class BoundCiphers:
    """Encrypts with the first of several keys and decrypts with each of them.

    Args:
        keys: By the ids that cipher texts name; not empty.

    Raises:
        EncryptionKeyError: There is no key, or an id is not acceptable.
    """

    def __init__(self, keys: Mapping[str, Aead]) -> None:
        if not keys:
            raise EncryptionKeyError("there is no key")
        for key_id in keys:
            if not _KEY_ID.fullmatch(key_id):
                raise EncryptionKeyError(
                    f"the id of a key must be 1 to 64 letters, digits and . _ -: {key_id[:80]!r}"
                )
        self._keys = dict(keys)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys; the first one encrypts."""
        return tuple(self._keys)

    def encrypt(self, text: str, *, application: str, key: str, key_id: str | None = None) -> str:
        """Return the cipher text without `{cipher}`, a different one for every call.

        Args:
            text: The clear text.
            application: The application of the bundle that will hold it.
            key: The flat key in the bundle, in any spelling.
            key_id: One of `key_ids`; `None` for the first.

        Raises:
            EncryptionKeyError: There is no key with this id.
        """
        name = self.key_ids[0] if key_id is None else key_id
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._find(name).seal(nonce, text.encode(), _context(name, application, key))
        return f"{_BEGIN}{name}:{_encoded(nonce + sealed)}"

    def decrypt(self, cipher: str, *, applications: Iterable[str], key: str) -> str:
        """Return the clear text. `{cipher}` may be missing.

        Args:
            cipher: A text for which `is_bound` is true.
            applications: The application of the bundle that holds it; several if the name of its
                file can be read in several ways.
            key: The flat key in the bundle, in any spelling.

        Raises:
            CipherError: It was not encrypted for this place, or was changed.
            EncryptionKeyError: There is no key with the id in it.
        """
        found = _TEXT.fullmatch(cipher.removeprefix(CIPHER_MARK))
        if found is None:
            raise CipherError(_DAMAGED)
        name, encoded = found[1], found[2]
        aead, data = self._find(name), _decoded(encoded)
        for application in applications:
            try:
                clear = aead.unseal(
                    data[:_NONCE_BYTES], data[_NONCE_BYTES:], _context(name, application, key)
                )
                return clear.decode()
            except (CipherError, UnicodeDecodeError):
                continue
        raise CipherError(_NOT_FOR_THIS_PLACE)

    def _find(self, key_id: str) -> Aead:
        found = self._keys.get(key_id)
        if found is None:
            raise EncryptionKeyError(f"there is no key {key_id!r}")
        return found


def is_bound(value: str) -> bool:
    """True if a value has this format, with `{cipher}` or without; it may still be damaged."""
    return value.removeprefix(CIPHER_MARK).startswith(_BEGIN)


def key_id_of(value: str) -> str | None:
    """Return the id of the key of a bound cipher text; `None` if it is damaged."""
    found = _TEXT.fullmatch(value.removeprefix(CIPHER_MARK))
    return None if found is None else found[1]


def bound_name(key: str) -> str:
    """Return what a cipher text is bound to: the canonical name of a key without indexes of lists.

    >>> bound_name("db.pool-Users[0].pass-word"), bound_name("DB.poolUsers.1.password")
    ('db.poolusers.password', 'db.poolusers.password')
    >>> bound_name("m[a.b]") == bound_name("m.a.b")
    False
    """
    return ".".join(part for part in canonical(key).split(".") if not is_index(part))


def key_bytes(text: str) -> bytes:
    """Return the 32 bytes of a key in base64, of either alphabet.

    Raises:
        EncryptionKeyError: The text is something else.
    """
    try:
        plain = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise EncryptionKeyError("a key must be 32 random bytes in base64: openssl rand -base64 32")
    return key


def _context(key_id: str, application: str, key: str) -> bytes:
    # Neither ids nor applications have a NUL, so that the parts cannot be shifted.
    parts = ("pyfly-config", _VERSION, key_id, application, bound_name(key))
    return "\0".join(parts).encode("utf-8", "surrogatepass")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise CipherError(_DAMAGED) from error
    if _encoded(data) != text:  # the last character may have bits that do not count
        raise CipherError(_DAMAGED)
    return data
