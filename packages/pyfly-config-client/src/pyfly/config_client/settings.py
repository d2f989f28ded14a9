"""A configuration server as a source for pydantic-settings (extra `settings`).

class Settings(BaseSettings):
    settings_customise_sources = from_config_server(prefix="orders")

    max_items: int = 100
"""

import threading
from typing import Any

try:
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
except ModuleNotFoundError as missing:
    raise ImportError(
        "this module needs pydantic-settings: pip install 'pyfly-config-client[settings]'"
    ) from missing

from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._result.properties import Properties
from pyfly.config_client._result.pydantic_models import settings_of

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
        return settings_of(self.settings_cls, self._section.root)


def from_config_server(
    source: SyncConfigClient | Properties | None = None, *, prefix: str = "", refetch: bool = False
) -> Any:
    """Return a `settings_customise_sources` with the server below everything else.

    Arguments outrank environment variables, these a `.env` file, that a directory of secrets,
    and all of them the server; the server outranks the defaults of the class.

    Args:
        source: A client, or what one has fetched; without it a client told by
            `PYFLY_CONFIG_…` variables when the class is first instantiated. A client fetches
            once, however many classes and instances it serves; one that watches gives what is
            current. A test double of the server is asked each time.
        prefix: Below which properties the fields are.
        refetch: Fetch whenever the class is instantiated.
    """
    given = _Source(source, refetch=refetch)

    def customise(
        _: type[BaseSettings],
        /,
        settings_cls: type[BaseSettings],
        *sources: PydanticBaseSettingsSource,
        **named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        own = ConfigServerSource(settings_cls, given.properties(), prefix=prefix)
        return (*sources, *named.values(), own)

    return classmethod(customise)


class _Source:
    """Gives properties, and fetches them if nobody has."""

    def __init__(self, given: SyncConfigClient | Properties | None, *, refetch: bool) -> None:
        self._given = given
        self._refetch = refetch
        self._lock = threading.Lock()

    def properties(self) -> Properties:
        """Return what is known, or fetch it; one thread at a time."""
        with self._lock:
            if self._given is None:
                self._given = SyncConfigClient.from_env()
            given = self._given
            if isinstance(given, Properties):
                return given
            if self._refetch or given.uses_double or given.current is None:
                return given.fetch()
            return given.current
