"""Settings of encryption: the keys, and the values to decrypt."""

from pathlib import Path

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._settings.fields import SettingsConflictError
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_core import EncryptionKeyError
from pyfly.config_core.bound_ciphers import BoundCiphers
from pyfly.config_server import (
    Encryption,
    EncryptionKeys,
    KeyRing,
    KeyStoreFile,
    open_bound_keys,
    open_keys,
)

_OF_KEY_STORE = ("encrypt_key_store_", "encrypt_rsa_")


def keys_of(settings: ServerSettings) -> EncryptionKeys | None:
    """Return the keys that the settings name; `None` if they name none. Nothing is opened.

    Raises:
        SettingsConflictError: Settings are missing, or do not go together.
    """
    key, location = settings.encrypt_key, settings.encrypt_key_store_location
    given = sorted(
        name
        for name in settings.model_fields_set
        if name.startswith(_OF_KEY_STORE) and getattr(settings, name) not in {"", None}
    )
    if given and not location:
        raise SettingsConflictError(f"{{{given[0]}}} needs {{encrypt_key_store_location}}")
    secret = None if key is None else key.get_secret_value()
    if secret and location:
        raise SettingsConflictError(
            "set either {encrypt_key} or {encrypt_key_store_location}, not both"
        )
    named = {name: key.get_secret_value() for name, key in settings.encrypt_keys.items()}
    if not secret and not location:
        if named:
            raise SettingsConflictError("{encrypt_keys} needs {encrypt_key}, the default key")
        return None
    default = secret or _key_store(settings)
    return EncryptionKeys(default=default, named=named, salt=settings.encrypt_salt)


def open_keyring(keys: EncryptionKeys) -> KeyRing:
    """Open the keys.

    Raises:
        SettingsError: They cannot be used.
        EncryptionNotInstalledError: The libraries are missing.
    """
    try:
        return open_keys(keys)
    except EncryptionKeyError as error:
        raise SettingsError(f"the encryption key cannot be used: {error}") from error


def open_bound_ring(settings: ServerSettings) -> BoundCiphers | None:
    """Open the keys of bound cipher texts; `None` if the settings have none.

    Raises:
        SettingsError: They cannot be used.
        EncryptionNotInstalledError: The libraries are missing.
    """
    keys = {name: key.get_secret_value() for name, key in settings.encrypt_bound_keys.items()}
    try:
        return open_bound_keys(keys) if keys else None
    except EncryptionKeyError as error:
        raise SettingsError(f"encrypt-bound-keys cannot be used: {error}") from error


def encryption_of(settings: ServerSettings) -> Encryption:
    """Open the keys, and return what the server encrypts and decrypts.

    Raises:
        SettingsError: The keys cannot be used.
        EncryptionNotInstalledError: The libraries are missing.
    """
    keys = keys_of(settings)
    return Encryption(
        keys=None if keys is None else open_keyring(keys),
        bound=open_bound_ring(settings),
        decrypts_documents=settings.encrypt_enabled,
        decrypts_resources=settings.encrypt_plain_text,
        prefixes_invalid=settings.encrypt_prefix_invalid_properties,
        answers_decrypt=settings.decrypt_endpoint,
    )


def _key_store(settings: ServerSettings) -> KeyStoreFile:
    password, secret = settings.encrypt_key_store_password, settings.encrypt_key_store_secret
    if password is None or not password.get_secret_value():
        raise SettingsConflictError(
            "{encrypt_key_store_location} needs {encrypt_key_store_password}"
        )
    if not settings.encrypt_key_store_alias:
        raise SettingsConflictError("{encrypt_key_store_location} needs {encrypt_key_store_alias}")
    if settings.encrypt_key_store_type.lower() != "pkcs12":
        raise SettingsConflictError(
            "{encrypt_key_store_type} can only be 'pkcs12'; make such a file with: keytool "
            "-importkeystore -srckeystore STORE -destkeystore STORE.p12 -deststoretype pkcs12"
        )
    return KeyStoreFile(
        location=Path(settings.encrypt_key_store_location.removeprefix("file:")),  # as Spring's
        password=password.get_secret_value(),
        alias=settings.encrypt_key_store_alias,
        secret=secret.get_secret_value() or None if secret is not None else None,
        algorithm=settings.encrypt_rsa_algorithm,
        strong=settings.encrypt_rsa_strong,
        salt=settings.encrypt_rsa_salt,
    )
