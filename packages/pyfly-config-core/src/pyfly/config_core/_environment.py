"""The environment document of server and client: docs/reference/protocol.md, The document.

Values on one side, the JSON object on the other. Bytes and HTTP are not handled here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from pyfly.config_core._properties import FlatBudget, FlatValue, JsonValue
from pyfly.config_core._quoting import shown
from pyfly.config_core.errors import ConfigFormatError
from pyfly.config_core.limits import MAX_KEY_PARTS, MAX_SOURCES

MEDIA_TYPE_V2: Final = "application/vnd.spring-cloud.config-server.v2+json"
"""The media type of documents whose values have origins."""
_ORIGIN_FIELDS: Final = {"value", "origin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertySource:
    """One named flat map of properties."""

    name: str
    """Unique within its document."""
    source: Mapping[str, FlatValue] = field(repr=False)
    """Flat keys to scalars, in document order."""
    origins: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Flat keys to the places of their values, as far as they are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The configuration of one application for its profiles, under one label."""

    name: str
    """The application as requested; a comma list stays one string."""
    profiles: tuple[str, ...]
    """As requested: servers send the whole profile segment as one string."""
    label: str | None = None
    """The label as requested; `None` if the request had no label."""
    version: str | None = None
    """The revision of the store; `None` if the store has no revisions."""
    state: str | None = None
    """The opaque watch state; `None` if the server does not watch."""
    property_sources: tuple[PropertySource, ...] = ()
    """Highest precedence first."""


def encode_environment(
    environment: Environment, *, with_origins: bool = False
) -> dict[str, JsonValue]:
    """Return the document as a JSON object with all six fields, nulls included.

    Args:
        environment: The document.
        with_origins: True to write values with a known origin as
            `{"value": …, "origin": …}`, which the v2 media type allows.
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
    """Return the document that a server of this protocol sent as JSON.

    Unknown fields are ignored. Nulls become empty strings.

    Raises:
        ConfigFormatError: A field is missing or of the wrong type, a text is not valid Unicode,
            a key has more than 1,000 parts, or the document holds more than 20,000 properties,
            4,096 property sources or 4 MiB of keys and values; names the field, no value.
    """
    fields = _object(document, "the document")
    sources = fields.get("propertySources")
    if not isinstance(sources, list):
        raise ConfigFormatError("'propertySources' is not a list")
    items = cast("list[object]", sources)  # isinstance does not know the type of the items
    if len(items) > MAX_SOURCES:
        raise ConfigFormatError(f"more than {MAX_SOURCES:,} property sources")
    reader = _SourceReader()
    return Environment(
        name=_string(fields.get("name"), "'name'"),
        profiles=_profiles(fields.get("profiles")),
        label=_optional(fields, "label"),
        version=_optional(fields, "version"),
        state=_optional(fields, "state"),
        property_sources=tuple(reader.read(item, index) for index, item in enumerate(items)),
    )


class _SourceReader:
    """Reads the property sources of one document and limits their total size."""

    def __init__(self) -> None:
        self._budget = FlatBudget(" in one answer")

    def read(self, item: object, index: int) -> PropertySource:
        """Return one property source; `index` is its place in the document."""
        place = f"'propertySources[{index}]'"
        fields = _object(item, place)
        name = _string(fields.get("name"), f"the name of {place}")
        source = _object(fields.get("source"), f"the source of {place}")
        values: dict[str, FlatValue] = {}
        origins: dict[str, str] = {}
        for key, value in source.items():
            plain, origin = _split_origin(value)
            values[key] = self._value(plain, place, key)
            if isinstance(origin, str):
                origins[key] = _unicode(origin, f"the origin of {shown(key)} in {place}")
        return PropertySource(name=name, source=values, origins=origins)

    def _value(self, value: object, place: str, key: str) -> FlatValue:
        size = _size(key, f"a key in {place}")
        if key.count(".") + key.count("[") > MAX_KEY_PARTS:
            raise ConfigFormatError(f"{shown(key)} has more than {MAX_KEY_PARTS:,} parts")
        if isinstance(value, str):
            size += _size(value, f"{shown(key)} in {place}")
        elif value is None:
            value = ""
        elif not isinstance(value, bool | int | float):
            raise ConfigFormatError(f"{shown(key)} in {place} is not a single value")
        self._budget.take(size)
        return value


def _size(text: str, place: str) -> int:
    return len(text) if text.isascii() else len(_unicode(text, place).encode())


def _split_origin(value: object) -> tuple[object, object]:
    if not isinstance(value, dict):
        return value, None
    fields = cast("dict[str, object]", value)  # JSON objects have string keys
    if fields.keys() != _ORIGIN_FIELDS:
        return fields, None
    return fields["value"], fields["origin"]


def _object(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ConfigFormatError(f"{place} is not an object")
    return cast("dict[str, object]", value)  # JSON objects have string keys


def _string(value: object, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigFormatError(f"{place} is not a non-empty string")
    return _unicode(value, place)


def _optional(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigFormatError(f"{name!r} is not a string")
    return _unicode(value, repr(name))


def _profiles(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigFormatError("'profiles' is not a list")
    items = cast("list[object]", value)  # isinstance does not know the type of the items
    return tuple(_string(item, "an element of 'profiles'") for item in items)


def _unicode(text: str, place: str) -> str:
    """Return the text. JSON can hold single surrogates, which UTF-8 cannot."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # not chained: it holds the text
            raise ConfigFormatError(f"{place} is not valid Unicode") from None
    return text
