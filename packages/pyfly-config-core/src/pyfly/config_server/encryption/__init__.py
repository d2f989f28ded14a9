"""Encryption and decryption of values: docs/reference/protocol.md, Encryption."""

from pyfly.config_server.encryption.decryption import Encryption
from pyfly.config_server.encryption.keyring import KeyRing, open_bound_keys, open_keys
from pyfly.config_server.encryption.keys import EncryptionKeys, KeyStoreFile, TextEncryptor
from pyfly.config_server.encryption.rekeying import CipherRekeyer

__all__ = [
    "CipherRekeyer",
    "Encryption",
    "EncryptionKeys",
    "KeyRing",
    "KeyStoreFile",
    "TextEncryptor",
    "open_bound_keys",
    "open_keys",
]
