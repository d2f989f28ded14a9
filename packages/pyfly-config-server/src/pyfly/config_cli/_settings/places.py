"""Where each setting was set, as the user knows it."""

from collections.abc import Mapping

from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import settings_of
from pyfly.config_cli._settings.sources import EnvironmentSource, SettingsFileSource


def places_of(arguments: Mapping[str, object]) -> dict[str, str]:
    """Return the place of each setting that was set: an argument, a variable, a key of the file.

    Args:
        arguments: As `load_settings` takes them.

    Raises:
        SettingsError: The environment or the settings file cannot be used.
    """
    environment = EnvironmentSource(ServerSettings)
    file = arguments.get("settings") or environment().get("settings")
    sources = (environment, SettingsFileSource(ServerSettings, file))
    places: dict[str, str] = {}
    for name, setting in settings_of(ServerSettings).items():
        found = (place for source in sources if (place := source.where(name)) is not None)
        written = setting.argument if name in arguments else next(found, None)
        if written:
            places[name] = written
    return places
