"""What `serve` and the commands are told about encryption (contract §10.2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pyfly.config_cli._known import PREFIX, SettingsError, flag_of, mapping_of, value_of
from pyfly.config_core import EncryptionKeyError
from pyfly.config_server import EncryptionKeys, KeyRing, KeyStoreFile, open_keys

_STORE: Final = "ENCRYPT_KEY_STORE_"
_RSA: Final = "ENCRYPT_RSA_"
_ALGORITHMS: Final[dict[str, Literal["DEFAULT", "OAEP"]]] = {"DEFAULT": "DEFAULT", "OAEP": "OAEP"}


def keys_of(values: Mapping[str, str]) -> EncryptionKeys | None:
    """Return the keys that the settings name, `None` when they name none. Nothing is opened.

    Raises:
        SettingsError: Settings are missing, or do not go together.
    """
    location = value_of(values, _STORE + "LOCATION")
    key = value_of(values, "ENCRYPT_KEY")
    given = sorted(name for name in values if name.startswith((_STORE, _RSA)) and values[name])
    if given and not location:
        raise SettingsError(f"{PREFIX}{given[0]} needs {PREFIX}{_STORE}LOCATION")
    if key and location:
        raise SettingsError(f"set either {PREFIX}ENCRYPT_KEY or {PREFIX}{_STORE}LOCATION, not both")
    named = _named(values)
    if not key and not location:
        if named:
            raise SettingsError(f"{PREFIX}ENCRYPT_KEYS needs {PREFIX}ENCRYPT_KEY, the default one")
        return None
    return EncryptionKeys(
        default=key or _store(values, location),
        named=named,
        salt=value_of(values, "ENCRYPT_SALT"),
    )


def open_ring(keys: EncryptionKeys) -> KeyRing:
    """Open the keys.

    Raises:
        SettingsError: They cannot be used.
        EncryptionNotInstalledError: The libraries are missing.
    """
    try:
        return open_keys(keys)
    except EncryptionKeyError as error:
        raise SettingsError(f"the encryption key cannot be used: {error}") from error


def flags_of(values: Mapping[str, str]) -> dict[str, bool]:
    """Return the further arguments of `Encryption`.

    Raises:
        SettingsError: One of them is no boolean.
    """
    return {
        "decrypts_documents": flag_of(values, "ENCRYPT_ENABLED"),
        "decrypts_resources": flag_of(values, "ENCRYPT_PLAIN_TEXT"),
        "prefixes_invalid": flag_of(values, "ENCRYPT_PREFIX_INVALID_PROPERTIES"),
        "answers_decrypt": flag_of(values, "DECRYPT_ENDPOINT"),
    }


def _named(values: Mapping[str, str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for name, key in mapping_of(values, "ENCRYPT_KEYS").items():
        if not isinstance(key, str):
            raise SettingsError(f"{PREFIX}ENCRYPT_KEYS: the key {name!r} must be a text")
        named[name] = key
    return named


def _store(values: Mapping[str, str], location: str) -> KeyStoreFile:
    for name in ("PASSWORD", "ALIAS"):
        if not value_of(values, _STORE + name):
            raise SettingsError(f"{PREFIX}{_STORE}LOCATION needs {PREFIX}{_STORE}{name}")
    if value_of(values, _STORE + "TYPE").lower() != "pkcs12":
        raise SettingsError(
            f"{PREFIX}{_STORE}TYPE can only be 'pkcs12'; make such a file with: keytool "
            "-importkeystore -srckeystore STORE -destkeystore STORE.p12 -deststoretype pkcs12"
        )
    algorithm = _ALGORITHMS.get(value_of(values, _RSA + "ALGORITHM").upper())
    if algorithm is None:
        raise SettingsError(f"{PREFIX}{_RSA}ALGORITHM must be one of {', '.join(_ALGORITHMS)}")
    return KeyStoreFile(
        location=Path(location.removeprefix("file:")),  # as Spring writes it
        password=value_of(values, _STORE + "PASSWORD"),
        alias=value_of(values, _STORE + "ALIAS"),
        secret=value_of(values, _STORE + "SECRET") or None,
        algorithm=algorithm,
        strong=flag_of(values, _RSA + "STRONG"),
        salt=value_of(values, _RSA + "SALT"),
    )
