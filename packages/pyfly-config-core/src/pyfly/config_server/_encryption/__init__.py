"""Cipher texts as Spring writes them (contract §6): keys, formats, and values in documents."""

from pyfly.config_server._encryption.documents import Encryption
from pyfly.config_server._encryption.keyring import (
    EncryptionKeys,
    KeyRing,
    KeyStoreFile,
    TextEncryptor,
    open_keys,
)

__all__ = [
    "Encryption",
    "EncryptionKeys",
    "KeyRing",
    "KeyStoreFile",
    "TextEncryptor",
    "open_keys",
]
