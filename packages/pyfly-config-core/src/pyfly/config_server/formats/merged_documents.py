"""The properties of several documents together. Pure functions.

Nested and dotted keys are equal; a list is one value.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pyfly.config_core import JsonValue
from pyfly.config_server.storage import ConfigDocument

__all__ = ["Leaves", "Path", "leaves_of", "merged_leaves", "merged_properties", "parts_of"]

Path: TypeAlias = tuple[str, ...]
"""The parts of a key between its dots."""
Leaves: TypeAlias = dict[Path, JsonValue]


def merged_properties(documents: Sequence[ConfigDocument]) -> dict[str, JsonValue]:
    """Return the properties of several documents under dotted keys; later documents win.

    Conditions are not evaluated.

    Args:
        documents: The documents of a bundle, the lowest precedence first.
    """
    return {".".join(path): value for path, value in merged_leaves(documents).items()}


def merged_leaves(documents: Sequence[ConfigDocument]) -> Leaves:
    """Return all values of the documents; later documents win."""
    merged: Leaves = {}
    for one in documents:
        merged |= leaves_of(one.properties)
    return merged


def leaves_of(tree: Mapping[str, JsonValue], prefix: Path = ()) -> Leaves:
    """Return all single values, lists and empty mappings of a tree."""
    found: Leaves = {}
    for key, value in tree.items():
        path = (*prefix, *parts_of(key))
        if isinstance(value, dict) and value:
            found |= leaves_of(value, path)
        else:
            found[path] = value
    return found


def parts_of(key: str) -> list[str]:
    """Return the parts of a key; one with brackets is not divided."""
    return [key] if "[" in key else key.split(".")
