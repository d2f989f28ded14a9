"""A configuration server as a source for pydantic-settings (extra `settings`).

class Settings(BaseSettings):
    settings_customise_sources = from_config_server(prefix="orders")

    max_items: int = 100
"""

from collections.abc import Mapping
from typing import Any, cast

try:
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
except ModuleNotFoundError as missing:
    raise ImportError(
        "this module needs pydantic-settings: pip install 'pyfly-config-client[settings]'"
    ) from missing

from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._result.models import names_of, prepare
from pyfly.config_client._result.properties import Properties

__all__ = ["ConfigServerSource", "from_config_server"]


class ConfigServerSource(PydanticBaseSettingsSource):
    """Reads the fields of a settings class from properties. Names are relaxed."""

    def __init__(
        self, settings_cls: type[BaseSettings], properties: Properties, *, prefix: str = ""
    ) -> None:
        super().__init__(settings_cls)
        self._section = properties.section(prefix) if prefix else properties

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: the fields are read together, in `__call__`."""
        del field  # pydantic-settings asks for this method
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return what the server knows of the fields; the rest is left out."""
        prepared = cast("Mapping[str, Any]", prepare(self._section.tree(), self.settings_cls))
        known = names_of(self.settings_cls)
        return {name: value for name, value in prepared.items() if name in known}


def from_config_server(
    source: SyncConfigClient | Properties | None = None, *, prefix: str = ""
) -> Any:
    """Return a `settings_customise_sources` with the server below everything else.

    Arguments outrank environment variables, these a `.env` file, that a directory of secrets,
    and all of them the server; the server outranks the defaults of the class.

    Args:
        source: A client, which fetches whenever the class is instantiated, or what it has
            fetched; without it a client told by `PYFLY_CONFIG_…` variables.
        prefix: Below which properties the fields are.
    """

    def customise(
        _: type[BaseSettings],
        /,
        settings_cls: type[BaseSettings],
        *sources: PydanticBaseSettingsSource,
        **named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        properties = source
        if not isinstance(properties, Properties):
            properties = (properties or SyncConfigClient.from_env()).fetch()
        own = ConfigServerSource(settings_cls, properties, prefix=prefix)
        return (*sources, *named.values(), own)

    return classmethod(customise)
