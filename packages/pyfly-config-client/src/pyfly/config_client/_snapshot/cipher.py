"""AES-256-GCM for snapshots: the seam to cryptography, loaded when a key is given."""

import base64
import binascii
import os
from typing import Final

from pyfly.config_client.errors import SnapshotError

_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class AesGcm:
    """Encrypts with a key of 32 bytes, given as base64.

    Raises:
        ValueError: The key is another one.
        ImportError: The extra `encryption` is not installed.
    """

    def __init__(self, key: str) -> None:
        try:
            raw = base64.b64decode(key.strip(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != _KEY_BYTES:
            raise ValueError("a snapshot key is 32 random bytes in base64: openssl rand -base64 32")
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ImportError(
                "encrypted snapshots need: pip install 'pyfly-config-client[encryption]'"
            ) from error
        self._invalid = InvalidTag
        self._aes = AESGCM(raw)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def encrypt(self, body: bytes, context: bytes) -> bytes:
        """Return a new nonce and the cipher text, bound to `context`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aes.encrypt(nonce, body, context)

    def decrypt(self, body: bytes, context: bytes) -> bytes:
        """Return the body.

        Raises:
            SnapshotError: The key is another one, or somebody changed the file.
        """
        try:
            return self._aes.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], context)
        except (self._invalid, ValueError) as error:
            raise SnapshotError("cannot be decrypted with this key") from error
