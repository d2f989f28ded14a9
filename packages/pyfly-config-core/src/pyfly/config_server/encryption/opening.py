"""Encryptors for configured keys. Needs `cryptography` and `asn1crypto`."""

import functools
from collections.abc import Mapping

from pyfly.config_core import EncryptionKeyError
from pyfly.config_core.bound_ciphers import BoundCiphers, key_bytes
from pyfly.config_server.encryption.ciphers import (
    AesGcm,
    RsaEncryptor,
    SymmetricEncryptor,
    private_key_of,
    salt_bytes,
)
from pyfly.config_server.encryption.key_store import KeyStore
from pyfly.config_server.encryption.keys import (
    ByPassword,
    EncryptionKeys,
    KeyStoreFile,
    TextEncryptor,
)
from pyfly.config_server.encryption.pem import check_no_file


def open_encryptors(keys: EncryptionKeys) -> tuple[TextEncryptor, dict[str, ByPassword]]:
    """Return the default encryptor, and the named encryptors.

    Raises:
        EncryptionKeyError: A key cannot be used.
    """
    salt_bytes(keys.salt)  # checked for RSA keys, too, which do not use it
    named = {name: _named(name, text, keys.salt) for name, text in keys.named.items()}
    if isinstance(keys.default, str):
        return _encryptor(keys.default, keys.salt), named
    default, stored = _open_store(keys.default)
    return default, stored | named


def open_bound_ciphers(keys: Mapping[str, str]) -> BoundCiphers:
    """Return the keys for bound cipher texts.

    Raises:
        EncryptionKeyError: A key cannot be used.
    """
    opened: dict[str, AesGcm] = {}
    for name, text in keys.items():
        try:
            opened[name] = AesGcm(key_bytes(text))
        except EncryptionKeyError as error:
            raise EncryptionKeyError(f"key {name!r}: {error}") from error
    return BoundCiphers(opened)


def _encryptor(text: str, salt: str) -> TextEncryptor:
    private = private_key_of(text)
    if private is not None:
        return RsaEncryptor(private.public_key(), private)
    if not text.strip():
        raise EncryptionKeyError("a key is empty or blank")
    check_no_file(text)
    return SymmetricEncryptor(text, salt=salt)


def _named(name: str, text: str, salt: str) -> ByPassword:
    if set("{}") & set(name):
        raise EncryptionKeyError(f"the name of a key must not contain braces: {name!r}")
    try:
        encryptor = _encryptor(text, salt)
    except EncryptionKeyError as error:
        raise EncryptionKeyError(f"key {name!r}: {error}") from error
    return lambda _: encryptor


def _open_store(file: KeyStoreFile) -> tuple[TextEncryptor, dict[str, ByPassword]]:
    try:
        store = KeyStore(file.location.read_bytes(), password=file.password)
    except OSError as error:
        raise EncryptionKeyError(f"cannot read the key store: {error.strerror}") from error

    @functools.lru_cache(maxsize=64)
    def load(alias: str, secret: str | None) -> RsaEncryptor:
        return store.encryptor(
            alias,
            file.secret if secret is None else secret,
            algorithm=file.algorithm,
            strong=file.strong,
            salt=file.salt,
        )

    named: dict[str, ByPassword] = {
        alias: functools.partial(load, alias) for alias in store.aliases
    }
    return load(file.alias, None), named
