"""The formats of cipher texts: symmetric, RSA, bound. Only this module imports `cryptography`."""

import base64
import binascii
import functools
import os
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    pkcs12,
)

from pyfly.config_core import CipherError, EncryptionKeyError
from pyfly.config_server.encryption.keys import DEFAULT_SALT, RsaAlgorithm
from pyfly.config_server.encryption.pem import private_key_der

_ITERATIONS: Final = 1024
_KEY_BYTES: Final = 32
_BLOCK: Final = 16
_SECRET_BYTES: Final = 16
_LENGTH_BYTES: Final = 2
_KEPT_KEYS: Final = 4096
_OAEP: Final = padding.OAEP(mgf=padding.MGF1(SHA1()), algorithm=SHA1(), label=None)  # noqa: S303 - Spring's


class SymmetricEncryptor:
    """Encrypts with a password. A cipher text is the IV and AES-256-CBC in lower-case hexadecimal.

    Raises:
        EncryptionKeyError: The salt is not hexadecimal.
    """

    public_key: str | None = None

    def __init__(self, password: str, *, salt: str = DEFAULT_SALT) -> None:
        self._key = derive_key(password, salt_bytes(salt))

    def encrypt(self, text: str) -> str:
        """Return the cipher text, a different one for every call."""
        return seal(self._key, os.urandom(_BLOCK), text.encode()).hex()

    def decrypt(self, cipher: str) -> str:
        """Return the clear text.

        Raises:
            CipherError: It was not encrypted with this key.
        """
        try:
            body = binascii.unhexlify(cipher)
        except ValueError as error:
            raise CipherError from error
        return _text(unseal(self._key, body))


class RsaEncryptor:
    """Encrypts each text with a random password, and the password with a public RSA key.

    A cipher text is base64.

    Args:
        public: The public key.
        private: The private key, which decrypts; `None` if only the public key is known.
        algorithm: The RSA padding for the password.
        strong: True to encrypt the text with AES-GCM instead of AES-CBC.
        salt: Hexadecimal digits; any other text stands for its UTF-8 bytes.

    Raises:
        EncryptionKeyError: The salt is empty.
    """

    def __init__(
        self,
        public: rsa.RSAPublicKey,
        private: rsa.RSAPrivateKey | None,
        *,
        algorithm: RsaAlgorithm = "DEFAULT",
        strong: bool = False,
        salt: str = DEFAULT_SALT,
    ) -> None:
        self._public = public
        self._private = private
        self._padding = _OAEP if algorithm == "OAEP" else padding.PKCS1v15()
        self._strong = strong
        if not salt:
            raise EncryptionKeyError("the salt of RSA is empty")
        self._salt = _hex_bytes(salt) or salt.encode()
        self._unwrapped = functools.lru_cache(_KEPT_KEYS)(self._unwrap)  # keeps keys, not texts

    @property
    def public_key(self) -> str:
        """The public key as OpenSSH writes it, with the comment that Spring adds."""
        return self._public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + (
            " application"
        )

    def encrypt(self, text: str) -> str:
        """Return the cipher text, a different one for every call."""
        secret = os.urandom(_SECRET_BYTES)
        wrapped = self._public.encrypt(secret, self._padding)
        seal_body = seal_strong if self._strong else seal
        body = seal_body(derive_key(secret.hex(), self._salt), os.urandom(_BLOCK), text.encode())
        length = len(wrapped).to_bytes(_LENGTH_BYTES, "big")
        return base64.b64encode(length + wrapped + body).decode()

    def decrypt(self, cipher: str) -> str:
        """Return the clear text.

        Raises:
            CipherError: It was not encrypted with this key.
            EncryptionKeyError: The private key is not known.
        """
        if self._private is None:
            raise EncryptionKeyError("Server-side decryption is not supported")  # Spring's words
        try:
            data = base64.b64decode(cipher + "=" * (-len(cipher) % 4), validate=True)
        except ValueError as error:
            raise CipherError from error
        end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
        key = self._unwrapped(self._private, data[_LENGTH_BYTES:end])
        return _text((unseal_strong if self._strong else unseal)(key, data[end:]))

    def _unwrap(self, private: rsa.RSAPrivateKey, wrapped: bytes) -> bytes:
        """Return the AES key of one text. This costs a thousand times as much as AES itself."""
        try:
            secret = private.decrypt(wrapped, self._padding)
        except ValueError as error:
            raise CipherError from error
        if len(secret) != _SECRET_BYTES:  # encrypted with another key
            raise CipherError
        return derive_key(secret.hex(), self._salt)


class AesGcm:
    """Authenticated encryption with AES-256-GCM, for bound cipher texts.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._aes = AESGCM(key)

    def seal(self, nonce: bytes, clear: bytes, context: bytes) -> bytes:
        """Return the encrypted bytes and a tag of 16 bytes, bound to `context`."""
        return self._aes.encrypt(nonce, clear, context)

    def unseal(self, nonce: bytes, body: bytes, context: bytes) -> bytes:
        """Return the clear bytes.

        Raises:
            CipherError: They were sealed with another key or context, or were changed.
        """
        try:
            return self._aes.decrypt(nonce, body, context)
        except (InvalidTag, ValueError) as error:
            raise CipherError from error


def derive_key(password: str, salt: bytes) -> bytes:
    """Return the AES key of a password."""
    kdf = PBKDF2HMAC(algorithm=SHA1(), length=_KEY_BYTES, salt=salt, iterations=_ITERATIONS)  # noqa: S303 - Spring's
    return kdf.derive(password.encode())


def seal(key: bytes, iv: bytes, clear: bytes) -> bytes:
    """Return the IV and the text in AES-256-CBC with PKCS#7 padding."""
    missing = _BLOCK - len(clear) % _BLOCK
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(clear + bytes([missing]) * missing) + encryptor.finalize()


def unseal(key: bytes, body: bytes) -> bytes:
    """Return the clear text of `seal`.

    Raises:
        CipherError: It was sealed with another key, or is too short.
    """
    if len(body) < 2 * _BLOCK or len(body) % _BLOCK:
        raise CipherError
    decryptor = Cipher(algorithms.AES(key), modes.CBC(body[:_BLOCK])).decryptor()
    padded = decryptor.update(body[_BLOCK:]) + decryptor.finalize()
    missing = padded[-1]
    if not 1 <= missing <= _BLOCK or padded[-missing:] != bytes([missing]) * missing:
        raise CipherError
    return padded[:-missing]


def seal_strong(key: bytes, iv: bytes, clear: bytes) -> bytes:
    """Return the IV, the text in AES-256-GCM and the tag of 16 bytes."""
    return iv + AESGCM(key).encrypt(iv, clear, None)


def unseal_strong(key: bytes, body: bytes) -> bytes:
    """Return the clear text of `seal_strong`.

    Raises:
        CipherError: It was sealed with another key, or was changed.
    """
    try:
        return AESGCM(key).decrypt(body[:_BLOCK], body[_BLOCK:], None)
    except (InvalidTag, ValueError) as error:
        raise CipherError from error


def private_key_of(pem: str) -> rsa.RSAPrivateKey | None:
    """Return the RSA key in a PEM text (PKCS#1 or PKCS#8), `None` if the text is a password.

    Raises:
        EncryptionKeyError: The text looks like a key, but cannot be used.
    """
    der = private_key_der(pem)
    return None if der is None else load_private_key(der, None)


def load_private_key(der: bytes, password: str | None) -> rsa.RSAPrivateKey:
    """Return the private key in DER.

    Raises:
        EncryptionKeyError: The password is wrong, or this is not an RSA key.
    """
    try:
        key = load_der_private_key(der, None if password is None else password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = "it is damaged" if password is None else "its password is wrong, or it is damaged"
        raise EncryptionKeyError(f"a private key cannot be read: {reason}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise EncryptionKeyError("only RSA keys can encrypt")
    return key


def load_certificates(data: bytes, password: str) -> dict[str, rsa.RSAPublicKey]:
    """Return the public RSA keys of the named certificates in a PKCS#12 store.

    Raises:
        EncryptionKeyError: The bytes are not such a store, or the password is wrong.
    """
    try:
        store = pkcs12.load_pkcs12(data, password.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EncryptionKeyError("not a PKCS#12 key store, or the password is wrong") from error
    listed = [*store.additional_certs, *([store.cert] if store.cert else [])]
    named = ((one.friendly_name, one.certificate) for one in listed)
    return {
        name.decode(): key for name, certificate in named if name and (key := _rsa_key(certificate))
    }


def _rsa_key(certificate: x509.Certificate) -> rsa.RSAPublicKey | None:
    key = certificate.public_key()
    return key if isinstance(key, rsa.RSAPublicKey) else None


def salt_bytes(salt: str) -> bytes:
    """Return the bytes that hexadecimal digits stand for.

    Raises:
        EncryptionKeyError: The text is empty, or not hexadecimal.
    """
    found = _hex_bytes(salt)
    if not found:
        raise EncryptionKeyError("the salt must consist of hexadecimal digits, two for each byte")
    return found


def _hex_bytes(text: str) -> bytes | None:
    try:
        return binascii.unhexlify(text)  # refuses blanks, as Spring does; `fromhex` accepts them
    except ValueError:
        return None


def _text(clear: bytes) -> str:
    try:
        return clear.decode()
    except UnicodeDecodeError as error:
        raise CipherError from error
