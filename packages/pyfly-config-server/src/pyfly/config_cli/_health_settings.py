"""What `/actuator/health` looks at (contract §7.2, §10.2)."""

from collections.abc import Mapping
from typing import Final

from pyfly.config_cli._known import PREFIX, SettingsError, flag_of, mapping_of, value_of
from pyfly.config_core import InvalidConfigKeyError, JsonValue
from pyfly.config_server import HealthRepository, HealthSettings

_NAME: Final = "HEALTH_REPOSITORIES"
_FIELDS: Final = frozenset({"name", "profiles", "label"})


def health_of(values: Mapping[str, str]) -> HealthSettings:
    """Return the settings of health.

    Raises:
        SettingsError: One of them cannot be used.
    """
    listed = mapping_of(values, _NAME)
    repositories = tuple(_repository(name, value) for name, value in listed.items())
    return HealthSettings(
        enabled=flag_of(values, "HEALTH_ENABLED"),
        down_status=value_of(values, "HEALTH_DOWN_STATUS"),
        repositories=repositories or HealthSettings().repositories,
    )


def _repository(name: str, value: JsonValue) -> HealthRepository:
    fields = value if isinstance(value, dict) else {"?": value}
    texts = {key: text for key, text in fields.items() if isinstance(text, str)}
    if fields.keys() - _FIELDS or texts.keys() != fields.keys():
        raise SettingsError(
            f"{PREFIX}{_NAME}: {name!r} is a mapping of texts for 'name', 'profiles' and 'label'"
        )
    try:
        return HealthRepository(**({"name": name} | texts))
    except InvalidConfigKeyError as error:
        raise SettingsError(f"{PREFIX}{_NAME}: {name!r}: {error}") from error
