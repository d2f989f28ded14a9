"""The keys of a server, by the name in the prefix of a text."""

from collections.abc import Mapping
from types import ModuleType
from typing import Final

from pyfly.config_core import EncryptionKeyError, EncryptionNotInstalledError
from pyfly.config_core.bound_ciphers import BoundCiphers
from pyfly.config_server.encryption.keys import ByPassword, EncryptionKeys, TextEncryptor
from pyfly.config_server.encryption.prefix import CIPHER_MARK, split_prefix

_SHOWN_LENGTH: Final = 80
_LIBRARIES: Final = ("cryptography", "asn1crypto")


class KeyRing:
    """Encrypts and decrypts texts with the keys that the texts name. Made by `open_keys`.

    Args:
        default: The key for texts without `{key:…}`.
        named: The keys for texts with `{key:…}`. If this is empty, the names in texts are
            ignored, as with Spring's symmetric key.
    """

    def __init__(self, default: TextEncryptor, named: Mapping[str, ByPassword]) -> None:
        self.default: Final = default
        self._named = dict(named)

    def find(self, key: str | None, secret: str | None = None) -> TextEncryptor:
        """Return the encryptor of one key.

        Raises:
            EncryptionKeyError: There is no key of that name, or its password is wrong.
        """
        if key is None or not self._named:
            return self.default
        found = self._named.get(key) or self._named.get(key.lower())  # key stores ignore case
        if found is None:
            raise EncryptionKeyError(f"there is no key {key[:_SHOWN_LENGTH]!r}")
        return found(secret)

    @property
    def has_names(self) -> bool:
        """True if there are named keys, so that the names in texts count."""
        return bool(self._named)

    @property
    def names(self) -> frozenset[str]:
        """The names of the named keys."""
        return frozenset(self._named)

    def has_key(self, name: str) -> bool:
        """True if there is a key with this name."""
        return name in self._named or name.lower() in self._named

    def takes_rsa(self, cipher: str) -> bool:
        """True if the key that a cipher text names is an RSA key."""
        given = split_prefix(cipher.removeprefix(CIPHER_MARK))
        try:
            return self.find(given.key, given.secret).public_key is not None
        except EncryptionKeyError:
            return False

    def encrypt(self, text: str) -> str:
        """Return the cipher text with the prefix of the text, without `{cipher}`.

        Raises:
            EncryptionKeyError: The key that the text names does not exist.
        """
        given = split_prefix(text)
        return given.before(self.find(given.key, given.secret).encrypt(given.text))

    def decrypt(self, cipher: str) -> str:
        """Return the clear text of a cipher text with its prefix. `{cipher}` may be missing.

        Raises:
            CipherError: The text was not encrypted with that key.
            EncryptionKeyError: The key that the text names does not exist, or cannot decrypt.
        """
        given = split_prefix(cipher.removeprefix(CIPHER_MARK))
        return self.find(given.key, given.secret).decrypt(given.text)


def open_keys(keys: EncryptionKeys) -> KeyRing:
    """Return the keys ready for use. Keys are derived here, once, because that is slow.

    Raises:
        EncryptionKeyError: A key cannot be used. The message gives the reason without the key.
        EncryptionNotInstalledError: `pyfly-config-core[encryption]` is not installed.
    """
    return KeyRing(*_opening().open_encryptors(keys))


def open_bound_keys(keys: Mapping[str, str]) -> BoundCiphers:
    """Return the keys for cipher texts that are bound to an application and a key.

    Args:
        keys: 32 bytes in base64 by id; the first one encrypts.

    Raises:
        EncryptionKeyError: A key cannot be used. The message gives the reason without the key.
        EncryptionNotInstalledError: `pyfly-config-core[encryption]` is not installed.
    """
    opened: BoundCiphers = _opening().open_bound_ciphers(keys)
    return opened


def check_installed() -> None:
    """Raise unless the libraries for encryption are installed.

    Raises:
        EncryptionNotInstalledError: `pyfly-config-core[encryption]` is not installed.
    """
    _opening()


def _opening() -> ModuleType:
    try:
        from pyfly.config_server.encryption import opening  # noqa: PLC0415 - optional libraries
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        raise EncryptionNotInstalledError from error
    return opening
