"""Rendering a document as one text: `.properties`, `.json`, `.yml`. Pure functions.

The rules: docs/reference/protocol.md, Flattened formats.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from pyfly.config_core import (
    ConfigFormatError,
    Environment,
    FlatValue,
    JsonValue,
    PlaceholderResolver,
    merge,
    rebuild,
)
from pyfly.config_server.composition.key_selection import KeySelection
from pyfly.config_server.formats.documents import encode_json
from pyfly.config_server.formats.text import dump_for_reading
from pyfly.config_server.formats.yaml_scalars import java_float

Extension: TypeAlias = Literal["json", "properties", "yaml", "yml"]
"""The flattened formats, by the extension in their path."""

_DOCUMENT: Final = "document"


class UnrenderableError(ConfigFormatError):
    """Placeholders cannot be replaced, or a key cannot stand in a tree."""


def render(
    environment: Environment,
    extension: Extension,
    *,
    resolve: bool = True,
    strip_document: bool = True,
    keys: KeySelection | None = None,
) -> bytes:
    """Return the effective properties of a document in one of the flattened formats.

    Args:
        environment: The document.
        extension: The format.
        resolve: True to replace placeholders by values of this document.
        strip_document: True to write a tree with the single key `document` as the value of that
            key, in YAML.
        keys: The keys to write, `None` for all. Lists are coalesced before keys are selected, and
            placeholders are replaced by values of the whole document.

    Raises:
        ConfigFormatError: A key cannot be rebuilt into a tree, or a placeholder cannot be
            resolved; see `PlaceholderResolver.resolve`.
    """
    flat = merge([source.source for source in environment.property_sources])
    flat = flat if keys is None else keys.select(flat)
    resolver = PlaceholderResolver(values_of(environment), trim=extension != "properties")
    if extension == "properties":
        lines = "\n".join(f"{key}: {text_of(value)}" for key, value in flat.items())
        return (resolver.resolve(lines) if resolve else lines).encode()
    if resolve:
        flat = {key: _resolved(value, resolver) for key, value in flat.items()}
    tree = rebuild(flat)
    if extension == "json":
        return encode_json(tree)
    shown: JsonValue = tree
    if strip_document and tree.keys() == {_DOCUMENT}:
        shown = tree[_DOCUMENT]
    if not isinstance(shown, dict | list):  # a single value, quoted if it looks like another type
        shown = "null" if shown is None else text_of(shown)
    return dump_for_reading(shown).encode()


def text_of(value: FlatValue) -> str:
    """Return a value as Java writes it: `true`, `1.0`, `1.0E10`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return java_float(value) if isinstance(value, float) else str(value)


def values_of(environment: Environment) -> Callable[[str], str | None]:
    """Return a function that finds the effective value of a key as text."""
    values: dict[str, FlatValue] = {}
    for source in reversed(environment.property_sources):
        values.update(source.source)

    def find(key: str) -> str | None:
        return text_of(values[key]) if key in values else None

    return find


def _resolved(value: FlatValue, resolver: PlaceholderResolver) -> FlatValue:
    return resolver.resolve(value) if isinstance(value, str) else value
