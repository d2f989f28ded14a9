"""The keys that a server is configured with. Needs no library."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

DEFAULT_SALT: Final = "deadbeef"

RsaAlgorithm: TypeAlias = Literal["DEFAULT", "OAEP"]
"""How RSA is used; `DEFAULT` is PKCS#1 v1.5."""


class TextEncryptor(Protocol):
    """Encrypts and decrypts texts with one key."""

    @property
    def public_key(self) -> str | None:
        """The public part as OpenSSH writes it; `None` when there is none."""
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
    """The password of that key, if it is not that of the file."""
    algorithm: RsaAlgorithm = "DEFAULT"
    """How RSA is used."""
    strong: bool = False
    """Whether texts are encrypted with AES-GCM instead of AES-CBC."""
    salt: str = DEFAULT_SALT
    """Hexadecimal; another text stands for its UTF-8 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKeys:
    """The keys of a server."""

    default: str | KeyStoreFile = field(repr=False)
    """A password, an RSA key as PEM, or a key store."""
    named: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Further passwords and PEMs by the names that `{key:…}` uses."""
    salt: str = DEFAULT_SALT
    """For passwords: hexadecimal digits."""


ByPassword: TypeAlias = Callable[[str | None], TextEncryptor]
"""Returns the encryptor of one key, given the password of the key, `None` for its default."""
