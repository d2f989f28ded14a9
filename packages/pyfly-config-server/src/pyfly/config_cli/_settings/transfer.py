"""Settings on their way from the supervisor to its workers."""

from collections.abc import Mapping

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from pyfly.config_cli._settings.fields import REVEAL
from pyfly.config_cli._settings.model import ServerSettings

__all__ = ["decode_settings", "encode_settings"]


class _GivenSettings(ServerSettings):
    """Settings of which every value is given: neither the environment nor a file is read."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the given values as the only source."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def encode_settings(settings: ServerSettings) -> dict[str, object]:
    """Return every value that was set as JSON has it, secrets in clear text."""
    return settings.model_dump(mode="json", exclude_unset=True, context={REVEAL: True})


def decode_settings(values: Mapping[str, object]) -> ServerSettings:
    """Return the settings that `encode_settings` has described."""
    return _GivenSettings.model_validate({**values})
