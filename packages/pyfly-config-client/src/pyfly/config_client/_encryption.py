"""Encryption with AES-GCM: snapshots, and values that a server hands on encrypted.

Such values are bound to their place. Those in the formats of Spring Cloud Config stay as they are.
"""

import json
import os
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final, cast

from pyfly.config_client.errors import SnapshotError
from pyfly.config_core import (
    SHARED_APPLICATION,
    CipherError,
    EncryptionError,
    EncryptionKeyError,
    Environment,
    FlatValue,
    PropertySource,
)
from pyfly.config_core.bound_ciphers import CIPHER_MARK, BoundCiphers, is_bound, key_bytes

# Compiled when they are used: most processes have no key, and starts are counted.
_IN_BRACKETS: Final = r"\[(?P<path>[^\[\]]*)\]"
_REMARK: Final = r" \([^()]*\)"
_SEPARATOR: Final = r"[/\\:]"
_EXTENSION: Final = r"\.(?:ya?ml|properties|json)\Z"


class ValueCipher:
    """Decrypts bound values with several keys.

    Args:
        keys: A JSON object of ids and keys of 32 bytes in base64.

    Raises:
        ValueError: They are something else.
        ImportError: The extra `encryption` is not installed.
    """

    def __init__(self, keys: str) -> None:
        self._keys = keys
        try:
            self._ciphers = BoundCiphers(
                {name: _AesGcm(key_bytes(key)) for name, key in _parse(keys).items()}
            )
        except EncryptionKeyError as error:
            raise ValueError(f"decrypt_keys: {error}") from None

    def __reduce__(self) -> tuple[type["ValueCipher"], tuple[str]]:
        return type(self), (self._keys,)  # as for `SnapshotCipher`

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._ciphers.key_ids)})"

    def decrypt(self, environment: Environment, *, applications: Collection[str]) -> Environment:
        """Return the document with the clear texts of its bound values.

        Texts of the requested applications and of shared bundles are decrypted, if the name of
        their source can be read as a file of that bundle.

        Raises:
            EncryptionError: A value cannot be decrypted. The error names its source and its key.
        """
        requested = {*applications, SHARED_APPLICATION}
        sources = tuple(self._decrypted(one, requested) for one in environment.property_sources)
        return replace(environment, property_sources=sources)

    def _decrypted(self, source: PropertySource, requested: Collection[str]) -> PropertySource:
        bound = {key: value for key, value in source.source.items() if _is_bound(value)}
        if not bound:
            return source
        applications = [one for one in _applications(source.name) if one in requested]
        values = dict(source.source)
        for key, value in bound.items():
            try:
                values[key] = self._ciphers.decrypt(str(value), applications=applications, key=key)
            except EncryptionError as error:
                raise EncryptionError(f"{source.name}: {key!r}: {error}") from None
        return replace(source, source=values)


_NONCE_BYTES: Final = 12


class SnapshotCipher:
    """Encrypts the bodies of snapshots with AES-256-GCM and a key of 32 bytes, given in base64.

    Raises:
        ValueError: It is not such a key.
        ImportError: The extra `encryption` is not installed.
    """

    def __init__(self, key: str) -> None:
        try:
            self._aes = _AesGcm(key_bytes(key))
        except EncryptionKeyError:
            raise ValueError(
                "snapshot_key must be 32 random bytes in base64: openssl rand -base64 32"
            ) from None
        self._key = key

    def __reduce__(self) -> tuple[type["SnapshotCipher"], tuple[str]]:
        return type(self), (self._key,)  # a cipher of the library can be neither copied nor pickled

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def encrypt(self, body: bytes, context: bytes) -> bytes:
        """Return a new nonce followed by the cipher text, which is bound to `context`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aes.seal(nonce, body, context)

    def decrypt(self, body: bytes, context: bytes) -> bytes:
        """Return the body.

        Raises:
            SnapshotError: The key is wrong, or the file was changed.
        """
        try:
            return self._aes.unseal(body[:_NONCE_BYTES], body[_NONCE_BYTES:], context)
        except CipherError as error:
            raise SnapshotError("cannot be decrypted with this key") from error


class _AesGcm:
    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - only with a key
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ImportError(
                "encryption needs: pip install 'pyfly-config-client[encryption]'"
            ) from error
        self._invalid = InvalidTag
        self._aes = AESGCM(key)

    def seal(self, nonce: bytes, clear: bytes, context: bytes) -> bytes:
        return self._aes.encrypt(nonce, clear, context)

    def unseal(self, nonce: bytes, body: bytes, context: bytes) -> bytes:
        try:
            return self._aes.decrypt(nonce, body, context)
        except (self._invalid, ValueError) as error:
            raise CipherError from error


def _is_bound(value: FlatValue) -> bool:
    return isinstance(value, str) and value.startswith(CIPHER_MARK) and is_bound(value)


def _parse(text: str) -> dict[str, str]:
    try:
        keys: object = json.loads(text)
    except ValueError:  # not chained: it contains the text
        keys = None
    mapping = cast("dict[str, Any]", keys) if isinstance(keys, dict) else {}
    if not mapping or not all(isinstance(one, str) for one in mapping.values()):
        raise ValueError('decrypt_keys must be a JSON object such as {"2027": "<base64>"}')
    return mapping


def _applications(name: str) -> list[str]:
    """Return the applications that a property source may belong to, by the name of its file.

    >>> _applications("main/orders-eu-prod.yaml (document #1)")
    ['orders-eu-prod', 'orders-eu', 'orders']
    """
    plain = re.sub(_REMARK, "", name)
    # Config resource 'file [/repo/orders.yml]' via location …
    found = re.search(_IN_BRACKETS, plain)
    path = plain if found is None else found["path"]
    file = re.split(_SEPARATOR, path)[-1]
    parts = re.sub(_EXTENSION, "", file).split("-")
    return ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
