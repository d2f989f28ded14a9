"""The configured keys of a server, as values. Needs no library for encryption."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

DEFAULT_SALT: Final = "deadbeef"

RsaAlgorithm: TypeAlias = Literal["DEFAULT", "OAEP"]
"""The padding of RSA; `DEFAULT` is PKCS#1 v1.5."""


class TextEncryptor(Protocol):
    """Encrypts and decrypts texts with one key."""

    @property
    def public_key(self) -> str | None:
        """The public key in the format of OpenSSH; `None` for a password."""
        ...

    def encrypt(self, text: str) -> str:
        """Return a cipher text, a different one for every call."""
        ...

    def decrypt(self, cipher: str) -> str:
        """Return the clear text.

        Raises:
            CipherError: It was not encrypted with this key.
            EncryptionKeyError: This key cannot decrypt.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStoreFile:
    """A PKCS#12 file with RSA keys."""

    location: Path
    """The path of the file."""
    password: str = field(repr=False)
    """The password of the file."""
    alias: str
    """The name of the key for texts without `{key:…}`."""
    secret: str | None = field(default=None, repr=False)
    """The password of that key, if it differs from that of the file."""
    algorithm: RsaAlgorithm = "DEFAULT"
    """The padding of RSA."""
    strong: bool = False
    """True to encrypt texts with AES-GCM instead of AES-CBC."""
    salt: str = DEFAULT_SALT
    """Hexadecimal digits; any other text stands for its UTF-8 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKeys:
    """The keys of a server."""

    default: str | KeyStoreFile = field(repr=False)
    """A password, an RSA key as PEM, or a key store."""
    named: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Further passwords and PEMs, by the names in `{key:…}`."""
    salt: str = DEFAULT_SALT
    """Hexadecimal digits; used with passwords."""


ByPassword: TypeAlias = Callable[[str | None], TextEncryptor]
"""Returns the encryptor of a key for the password of the key; `None` is its default password."""
