"""A configuration server as a source for pydantic-settings (extra `settings`).

class Settings(BaseSettings):
    settings_customise_sources = from_config_server(prefix="orders")

    max_items: int = 100
"""

import threading
import weakref
from typing import Any

try:
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
except ModuleNotFoundError as missing:
    raise ImportError(
        "this module needs pydantic-settings: pip install 'pyfly-config-client[settings]'"
    ) from missing

from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._conversion import lenient_reader
from pyfly.config_client._forks import forget_after_fork
from pyfly.config_client._properties import Properties
from pyfly.config_client._scalars import ABSENT
from pyfly.config_client._sections import Node, find_field, plain, read_raw
from pyfly.config_client._types import is_root_model, pydantic_fields, without_none

__all__ = ["ConfigServerSource", "from_config_server"]


class ConfigServerSource(PydanticBaseSettingsSource):
    """Reads the fields of a settings class from properties, under any spelling of their names."""

    def __init__(
        self, settings_cls: type[BaseSettings], properties: Properties, *, prefix: str = ""
    ) -> None:
        super().__init__(settings_cls)
        self._section = properties.section(prefix) if prefix else properties

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing; `__call__` reads all fields together."""
        del field  # pydantic-settings asks for this method
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values of the fields that the properties have."""
        return _values(self.settings_cls, self._section.root)


def _values(model: Any, node: Node) -> dict[str, Any]:
    """Return the values of the fields of a settings class.

    A value that cannot be converted is no error here, because another source may take precedence
    over it. It is replaced by an object that pydantic rejects. Fields that are models are
    mappings, which pydantic-settings merges with those of other sources.

    Raises:
        PropertyTypeError: The placeholders of a value that is not converted cannot be resolved.
    """
    found: dict[str, Any] = {}
    for one in pydantic_fields(model):
        option, child = find_field(one, node) or (None, None)
        if option is None or child is None:
            continue
        inner = without_none(one.wanted)
        if child.children and hasattr(inner, "model_fields") and not is_root_model(inner):
            found[option.argument] = _values(inner, child)
            continue
        read = read_raw if one.takes_raw or option.is_part else lenient_reader(one.wanted)
        faults: list[str] = []
        value = read(child, option.argument, faults)
        if faults:
            plain(child)  # raises if a value cannot be resolved
            value = _InvalidValue(faults[0].removeprefix(f"the property {option.argument!r} "))
        if value is not ABSENT:
            found[option.argument] = value
    return found


class _InvalidValue:
    """Replaces a value that cannot be converted; pydantic shows its `repr` as the input."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def __repr__(self) -> str:
        return f"<{self._fault}>"


def from_config_server(
    source: SyncConfigClient | Properties | None = None, *, prefix: str = "", refetch: bool = False
) -> Any:
    """Return a `settings_customise_sources` with the server as the last source.

    The order, highest precedence first: arguments, environment variables, a `.env` file, a
    directory of secrets, the server, the defaults of the class.

    Args:
        source: A client, or the properties that a client fetched. Without it, a client is
            configured by `PYFLY_CONFIG_…` variables when the class is first instantiated. A
            client fetches once for all classes and instances; a client that watches gives its
            current properties. A transport in memory, such as a `FakeConfigServer`, is asked for
            every instance.
        prefix: The key above the fields.
        refetch: Fetch for every instance.
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
    """Gives the properties of a client, and fetches them if necessary."""

    def __init__(self, given: SyncConfigClient | Properties | None, *, refetch: bool) -> None:
        self._given = given
        self._refetch = refetch
        self.after_fork()
        _sources.add(self)

    def after_fork(self) -> None:
        """Forget a fetch of another thread, which a forked process does not have."""
        self._lock = threading.Lock()

    def properties(self) -> Properties:
        """Return the current properties, or fetch them; one thread at a time."""
        with self._lock:
            if self._given is None:
                self._given = SyncConfigClient.from_env()
            given = self._given
            if isinstance(given, Properties):
                return given
            in_memory = given.config.make_transport().in_memory
            if self._refetch or in_memory or given.current is None:
                return given.fetch()
            return given.current


_sources: "weakref.WeakSet[_Source]" = weakref.WeakSet()


def _after_fork() -> None:
    for source in list(_sources):
        source.after_fork()


forget_after_fork(_after_fork)
