"""One document as one text: `.properties`, `.json`, `.yml` (contract §4). Pure functions."""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from pyfly.config_core import (
    Environment,
    FlatValue,
    JsonValue,
    merge,
    rebuild,
    resolve_placeholders,
)
from pyfly.config_server._scalars import java_float
from pyfly.config_server.documents import encode_json
from pyfly.config_server.text import dump_for_reading

Extension: TypeAlias = Literal["json", "properties", "yaml", "yml"]

_DOCUMENT: Final = "document"


def render(
    environment: Environment,
    extension: Extension,
    *,
    resolve: bool = True,
    strip_document: bool = True,
) -> bytes:
    """Return the effective properties of a document in one of the flattened formats.

    Args:
        environment: The document.
        extension: Which format.
        resolve: Whether placeholders are replaced, by values of this document only.
        strip_document: Whether YAML of a tree with the single key `document` is its value.

    Raises:
        ConfigFormatError: A key cannot be rebuilt into a tree, or a placeholder leads back to
            itself.
    """
    flat = merge([source.source for source in environment.property_sources])
    lookup = values_of(environment)
    if extension == "properties":
        lines = "\n".join(f"{key}: {text_of(value)}" for key, value in flat.items())
        return (resolve_placeholders(lines, lookup) if resolve else lines).encode()
    if resolve:
        flat = {key: _resolved(value, lookup) for key, value in flat.items()}
    tree = rebuild(flat)
    if extension == "json":
        return encode_json(tree)
    shown: JsonValue = tree
    if strip_document and tree.keys() == {_DOCUMENT}:
        shown = tree[_DOCUMENT]
    if isinstance(shown, dict | list):
        return dump_for_reading(shown).encode()
    return ("null" if shown is None else text_of(shown)).encode()


def text_of(value: FlatValue) -> str:
    """Return a value as Java writes it: `true`, `1.0`, `1.0E10`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return java_float(value) if isinstance(value, float) else str(value)


def values_of(environment: Environment) -> Callable[[str], str | None]:
    """Return what finds the value of a key as text: the highest source's that has it."""
    sources = [source.source for source in environment.property_sources]

    def find(key: str) -> str | None:
        return next((text_of(source[key]) for source in sources if key in source), None)

    return find


def _resolved(value: FlatValue, lookup: Callable[[str], str | None]) -> FlatValue:
    return resolve_placeholders(value, lookup, trim=True) if isinstance(value, str) else value
