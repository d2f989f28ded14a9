"""Settings of `/actuator/health`."""

from collections.abc import Mapping
from typing import Final, cast

from pyfly.config_cli._settings.fields import SettingsConflictError, escaped
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_core import InvalidConfigKeyError
from pyfly.config_server import HealthRepository, HealthSettings

_FIELDS: Final = frozenset({"name", "profiles", "label"})


def health_of(settings: ServerSettings) -> HealthSettings:
    """Return the settings of health.

    Raises:
        SettingsConflictError: One of them cannot be used.
    """
    named = settings.health_repositories
    repositories = tuple(_repository(name, value) for name, value in named.items())
    return HealthSettings(
        enabled=settings.health_enabled,
        down_status=settings.health_down_status,
        repositories=repositories or HealthSettings().repositories,
    )


def _repository(name: str, value: object) -> HealthRepository:
    fields = cast("Mapping[str, object]", value) if isinstance(value, dict) else {"?": value}
    texts = {key: text for key, text in fields.items() if isinstance(text, str)}
    if fields.keys() - _FIELDS or texts.keys() != fields.keys():
        raise SettingsConflictError(
            f"{{health_repositories}}: {escaped(repr(name))} must be a mapping of texts for "
            "'name', 'profiles' and 'label'"
        )
    try:
        return HealthRepository(**({"name": name} | texts))
    except InvalidConfigKeyError as error:
        raise SettingsConflictError(
            f"{{health_repositories}}: {escaped(repr(name))}: {escaped(str(error))}"
        ) from error
