"""Loading the settings, and explaining in plain words what is wrong with them."""

from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._settings.conflicts import check_conflicts
from pyfly.config_cli._settings.encryption import (
    encryption_of,
    keys_of,
    open_bound_ring,
    open_keyring,
)
from pyfly.config_cli._settings.fields import SettingsConflictError
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import settings_of, variable_of
from pyfly.config_cli._settings.places import places_of
from pyfly.config_core.bound_ciphers import BoundCiphers
from pyfly.config_server import Encryption, KeyRing

__all__ = ["load_bound_keys", "load_encryption", "load_keyring", "load_settings"]

_FALLBACK: Final = "has a value that cannot be used"


def load_settings(arguments: Mapping[str, object]) -> ServerSettings:
    """Return the settings: arguments over the environment over the settings file over defaults.

    Args:
        arguments: Values by the name of the field; `settings` names the settings file.

    Raises:
        SettingsError: A setting does not exist or cannot be used. The message says where it is
            set, what is wrong and what to do, and shows no secret.
    """
    try:
        settings = ServerSettings.model_validate({**arguments})
        check_conflicts(settings)
    except ValidationError as error:
        explanation = _explain(error, _Places(arguments))
    except SettingsConflictError as error:
        explanation = error.template.format_map(_Places(arguments))
    else:
        return settings
    raise SettingsError(explanation)


def load_keyring(settings_file: str | None) -> KeyRing:
    """Return the keys that the settings of the server name, opened.

    Args:
        settings_file: The settings file; `None` for the one that the environment names.

    Raises:
        SettingsError: A setting cannot be used, or no key is configured.
        EncryptionNotInstalledError: The libraries are missing.
    """
    keys = keys_of(_load(settings_file))
    if keys is None:
        raise SettingsError(
            f"no key is configured; set {variable_of('encrypt_key')} or "
            f"{variable_of('encrypt_key_store_location')}, or name the settings file of the server "
            "with --settings"
        )
    return open_keyring(keys)


def load_bound_keys(settings_file: str | None) -> BoundCiphers:
    """Return the keys of bound cipher texts that the settings of the server name, opened.

    Raises:
        SettingsError: A setting cannot be used, or there is no such key.
        EncryptionNotInstalledError: The libraries are missing.
    """
    keys = open_bound_ring(_load(settings_file))
    if keys is None:
        raise SettingsError(
            "no key for bound cipher texts is configured; set "
            f"{variable_of('encrypt_bound_keys')}, or name the settings file of the "
            "server with --settings"
        )
    return keys


def load_encryption(settings_file: str | None) -> Encryption:
    """Return all keys that the settings of the server name, opened.

    Raises:
        SettingsError: A setting cannot be used.
        EncryptionNotInstalledError: The libraries are missing.
    """
    return encryption_of(_load(settings_file))


def _load(settings_file: str | None) -> ServerSettings:
    return load_settings({} if settings_file is None else {"settings": settings_file})


class _Places(dict[str, str]):
    """How the user has written the name of each setting; that of the environment if it is unset."""

    def __init__(self, arguments: Mapping[str, object]) -> None:
        super().__init__({name: variable_of(name) for name in settings_of(ServerSettings)})
        self.update(places_of(arguments))


def _explain(error: ValidationError, places: _Places) -> str:
    """Return one line for each mistake."""
    return "\n".join(
        _sentence(details["loc"], details.get("ctx", {}).get("error"), places)
        for details in error.errors(include_url=False, include_input=False)
    )


def _sentence(loc: tuple[int | str, ...], cause: object, places: _Places) -> str:
    if isinstance(cause, SettingsConflictError):
        return cause.template.format_map(places)
    place = places[str(loc[0])] if loc else ""
    return f"{place}: {cause if isinstance(cause, ValueError) else _FALLBACK}"
