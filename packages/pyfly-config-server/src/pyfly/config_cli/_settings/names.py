"""The names of settings in the environment and in the settings file."""

from collections.abc import Iterable
from typing import Final

from pydantic_settings import BaseSettings

from pyfly.config_cli._cli.suggestions import nearest
from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._settings.fields import Setting

PREFIX: Final = "PYFLY_CONFIG_SERVER_"
FILE_SUFFIX: Final = "_file"


def variable_of(field: str) -> str:
    """Return the environment variable of a setting.

    >>> variable_of("base_path")
    'PYFLY_CONFIG_SERVER_BASE_PATH'
    """
    return PREFIX + field.upper()


def key_of(field: str) -> str:
    """Return the key of a setting in the settings file.

    >>> key_of("base_path")
    'base-path'
    """
    return field.replace("_", "-")


def settings_of(model: type[BaseSettings]) -> dict[str, Setting]:
    """Return the documentation of each field of a model, by the name of the field."""
    return {
        name: item
        for name, field in model.model_fields.items()
        for item in field.metadata
        if isinstance(item, Setting)
    }


def fields_with_files(model: type[BaseSettings]) -> dict[str, str]:
    """Return the fields that a file may hold, by the name of the setting that names the file."""
    return {
        name + FILE_SUFFIX: name
        for name, setting in sorted(settings_of(model).items())
        if setting.is_secret or setting.has_file
    }


def check_known(name: str, known: Iterable[str], *, prefix: str = "", where: str = "") -> None:
    """Check that a setting exists.

    Args:
        name: Its name as it is written, without the prefix.
        known: The names of all settings, written in the same way.
        prefix: Stands before each name.
        where: Stands before the message.

    Raises:
        SettingsError: It does not; suggests the setting that was probably meant.
    """
    names = [*known]
    if name in names:
        return
    near = nearest(name, names)
    hint = f"did you mean {prefix}{near}?" if near else "known are: " + ", ".join(names)
    shown = name if name.isprintable() else ascii(name)
    raise SettingsError(f"{where}there is no setting {prefix}{shown}; {hint}")
