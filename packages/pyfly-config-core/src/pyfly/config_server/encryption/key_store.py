"""Key stores in PKCS#12, as Java's `keytool` makes them. Only this module imports `asn1crypto`.

`cryptography` reads only one private key of a store; this module finds all keys by their names.
"""

from typing import Any, Final

from asn1crypto import pkcs12  # type: ignore[import-untyped]

from pyfly.config_core import EncryptionKeyError
from pyfly.config_server.encryption import ciphers

_PKCS12: Final[Any] = pkcs12
_JKS: Final = b"\xfe\xed\xfe\xed"
_KEY_BAGS: Final = frozenset({"key_bag", "pkcs8_shrouded_key_bag"})


class KeyStore:
    """The RSA keys of a key store by name. Names are compared without regard to case.

    Args:
        data: The bytes of the key store.
        password: The password of the key store, and of each key without its own password.

    Raises:
        EncryptionKeyError: The key store cannot be read.
    """

    def __init__(self, data: bytes, *, password: str) -> None:
        if data.startswith(_JKS):
            raise EncryptionKeyError(
                "the key store is in Java's JKS format; convert it with: keytool -importkeystore "
                "-srckeystore STORE -destkeystore STORE.p12 -deststoretype pkcs12"
            )
        certificates = ciphers.load_certificates(data, password)
        self._password = password
        self._certificates = {name.lower(): key for name, key in certificates.items()}
        self._private = {name.lower(): der for name, der in _private_keys(data).items()}

    @property
    def aliases(self) -> tuple[str, ...]:
        """The names of all keys, sorted."""
        return tuple(sorted({*self._private, *self._certificates}))

    def encryptor(self, alias: str, secret: str | None, **how: Any) -> ciphers.RsaEncryptor:
        """Return the encryptor of one key. Without a private key it cannot decrypt.

        Args:
            alias: The name of the key.
            secret: The password of the key, if it differs from that of the key store.
            how: Further arguments of the encryptor.

        Raises:
            EncryptionKeyError: There is no such key, or its password is wrong.
        """
        name = alias.lower()
        if (der := self._private.get(name)) is not None:
            key = ciphers.load_private_key(der, self._password if secret is None else secret)
            return ciphers.RsaEncryptor(key.public_key(), key, **how)
        if (public := self._certificates.get(name)) is not None:
            return ciphers.RsaEncryptor(public, None, **how)
        raise EncryptionKeyError(
            f"there is no RSA key {alias!r} in the key store; it has: {', '.join(self.aliases)}"
        )


def _private_keys(data: bytes) -> dict[str, bytes]:
    """Return the private keys, still encrypted, by name; those without a name by number."""
    found: dict[str, bytes] = {}
    for content in _PKCS12.Pfx.load(data).authenticated_safe:
        if content["content_type"].native != "data":
            continue  # certificates; tools store private keys outside of encrypted parts
        for bag in _PKCS12.SafeContents.load(content["content"].native):
            if bag["bag_id"].native in _KEY_BAGS:
                found[_name(bag) or str(len(found) + 1)] = bag["bag_value"].untag().dump()
    return found


def _name(bag: Any) -> str | None:
    attributes = bag["bag_attributes"] or ()
    names = (one["values"][0].native for one in attributes if one["type"].native == "friendly_name")
    return next(names, None)
