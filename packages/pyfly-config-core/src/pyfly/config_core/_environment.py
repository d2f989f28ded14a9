"""The environment document that server and client exchange (contract §2.1).

Values on one side, the JSON object on the other. Bytes and HTTP are not handled here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from pyfly.config_core._properties import FlatValue, JsonValue
from pyfly.config_core.errors import ConfigFormatError

MEDIA_TYPE_V2: Final = "application/vnd.spring-cloud.config-server.v2+json"
_ORIGIN_FIELDS: Final = {"value", "origin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertySource:
    """One named flat map of properties."""

    name: str
    """Unique within its document (contract §2.4)."""
    source: Mapping[str, FlatValue] = field(repr=False)
    """Flat keys to scalars, in document order."""
    origins: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Flat keys to the places their values come from, where they are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a server answers for an application, its profiles and a label."""

    name: str
    """The application as requested; a comma list stays one string."""
    profiles: tuple[str, ...]
    """As requested: servers send the whole profile segment as one string."""
    label: str | None = None
    """The label as requested; `None` when the request named none."""
    version: str | None = None
    """Revision of the store, where it has one."""
    state: str | None = None
    """Opaque watch state, where the server watches."""
    property_sources: tuple[PropertySource, ...] = ()
    """Highest precedence first."""


def encode_environment(
    environment: Environment, *, with_origins: bool = False
) -> dict[str, JsonValue]:
    """Return the document as a JSON object with all six fields, nulls included.

    Args:
        environment: The document.
        with_origins: Whether values whose origin is known are written as
            `{"value": …, "origin": …}`, which the v2 media type allows (contract §2.2).
    """
    return {
        "name": environment.name,
        "profiles": list(environment.profiles),
        "label": environment.label,
        "version": environment.version,
        "state": environment.state,
        "propertySources": [
            {"name": source.name, "source": _encode_source(source, with_origins=with_origins)}
            for source in environment.property_sources
        ],
    }


def _encode_source(source: PropertySource, *, with_origins: bool) -> dict[str, JsonValue]:
    if not (with_origins and source.origins):
        return dict(source.source)
    return {
        key: {"value": value, "origin": source.origins[key]} if key in source.origins else value
        for key, value in source.source.items()
    }


def decode_environment(document: object) -> Environment:
    """Read a document as any server of this protocol sends it (contract §9.2).

    Unknown fields are ignored. Nulls become empty strings.

    Raises:
        ConfigFormatError: A field is missing or of the wrong type; names the field.
    """
    fields = _object(document, "the document")
    sources = fields.get("propertySources")
    if not isinstance(sources, list):
        raise ConfigFormatError("'propertySources' is not a list")
    return Environment(
        name=_string(fields.get("name"), "'name'"),
        profiles=_profiles(fields.get("profiles")),
        label=_optional(fields, "label"),
        version=_optional(fields, "version"),
        state=_optional(fields, "state"),
        property_sources=tuple(
            _property_source(item, index)
            for index, item in enumerate(cast("list[object]", sources))  # JSON tells no more
        ),
    )


def _property_source(item: object, index: int) -> PropertySource:
    place = f"'propertySources[{index}]'"
    fields = _object(item, place)
    name = _string(fields.get("name"), f"the name of {place}")
    source = _object(fields.get("source"), f"the source of {place}")
    values: dict[str, FlatValue] = {}
    origins: dict[str, str] = {}
    for key, value in source.items():
        plain, origin = _split_origin(value)
        values[key] = _value(plain, name, key)
        if isinstance(origin, str):
            origins[key] = origin
    return PropertySource(name=name, source=values, origins=origins)


def _split_origin(value: object) -> tuple[object, object]:
    if not isinstance(value, dict):
        return value, None
    fields = cast("dict[str, object]", value)  # JSON objects have string keys
    if fields.keys() != _ORIGIN_FIELDS:
        return fields, None
    return fields["value"], fields["origin"]


def _value(value: object, name: str, key: str) -> FlatValue:
    if value is None:
        return ""
    if isinstance(value, bool | int | float | str):
        return value
    raise ConfigFormatError(f"{key!r} in {name!r} is not a single value")


def _object(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ConfigFormatError(f"{place} is not an object")
    return cast("dict[str, object]", value)  # JSON objects have string keys


def _string(value: object, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigFormatError(f"{place} is not a non-empty string")
    return value


def _optional(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ConfigFormatError(f"{name!r} is not a string")
    return value


def _profiles(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigFormatError("'profiles' is not a list")
    items = cast("list[object]", value)  # JSON tells no more
    return tuple(_string(item, "an element of 'profiles'") for item in items)
