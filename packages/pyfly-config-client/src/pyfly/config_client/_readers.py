"""Readers: functions that convert a node of properties to one type."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Any, Final, Literal, TypeAlias

from pyfly.config_client._merging import as_text
from pyfly.config_client._types import Field, Model, resolve_alias, type_name
from pyfly.config_client._views import Node, node_from_json, plain
from pyfly.config_client.errors import PropertyTypeError
from pyfly.config_core.limits import MAX_PROPERTIES
from pyfly.config_core.property_names import Element, below, is_index, join

Make: TypeAlias = Callable[[Any], Any]
Reader: TypeAlias = Callable[[Node, str, list[str]], Any]
"""Takes a node, the name of its property and a list of faults; returns the value.

Returns `ABSENT` for an empty text if another type is expected, as Spring does. After adding a
fault, the result has no meaning.
"""
Kind: TypeAlias = Literal["single", "list", "other"]
"""Where the keys of a mapping end: at a value, at a list, or at the next dot."""

ABSENT: Final = object()

MISMATCH: Final = (
    ValueError,
    TypeError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
)
"""The errors of a value that cannot be converted, also those of classes of the program.

Their texts may show the value and are not passed on.
"""

_NO_SECTION: Final = "is not a section"


class ExplainedError(ValueError):
    """An error of a conversion whose text shows no value and is passed on."""


def fault(faults: list[str], path: str, text: str) -> None:
    """Add a fault of a property."""
    faults.append(f"the property {path!r} {text}" if path else f"the configuration {text}")


def child_path(path: str, node: Node) -> str:
    """Return the name of the property of a child node."""
    return below(path, f"[{node.name}]" if node.in_brackets else node.name)


def guarded(read: Reader) -> Reader:
    """Return a reader that adds a fault for a value whose placeholders cannot be resolved."""

    def noting(node: Node, path: str, faults: list[str]) -> Any:
        try:
            return read(node, path, faults)
        except PropertyTypeError as error:
            faults.append(str(error))
            return None

    return noting


def _present(result: object, path: str, faults: list[str]) -> Any:
    """Return a value; add a fault if it is an empty text."""
    return fault(faults, path, "is empty") if result is ABSENT else result


def _read_raw(node: Node, _: str, __: list[str]) -> Any:
    return plain(node)


read_raw: Final[Reader] = guarded(_read_raw)
"""Returns mappings, lists and single values without conversion."""


def scalar_reader(make: Make, name: str) -> Reader:
    """Return the reader of a type that needs a single value."""

    def read(node: Node, path: str, faults: list[str]) -> Any:
        value = node.read()
        if value is None:
            what = "more than one value" if node.children else "no value"
            return fault(faults, path, f"has {what}, but {name} is expected")
        try:
            return make(value)
        except MISMATCH as error:
            if isinstance(value, str) and not value.strip():
                return ABSENT
            explained = isinstance(error, ExplainedError)
            return fault(faults, path, str(error) if explained else f"is not {name}")

    return guarded(read)


def literal_reader(choices: tuple[Any, ...]) -> Reader:
    """Return the reader of a `Literal`: its values, or their texts."""

    def read(node: Node, path: str, faults: list[str]) -> Any:
        value = node.read()
        for choice in choices:
            known = getattr(choice, "value", choice)  # a member of an enumeration
            if type(known) is type(value) and known == value:
                return choice
        for choice in choices:
            known = getattr(choice, "value", choice)
            if value is not None and known is not None and as_text(value) == as_text(known):
                return choice
        if value == "":
            return None if None in choices else ABSENT
        return fault(faults, path, f"is not one of {', '.join(map(repr, choices))}")

    return guarded(read)


def union_reader(members: Sequence[tuple[Any, Reader, bool]], *, optional: bool) -> Reader:
    """Return the reader of a union: the first type that a value can be converted to.

    A value that already has one of the types keeps it, as with pydantic.

    Args:
        members: Types, their readers, and whether they are lists. For a list, those come first.
        optional: `None` is one of the types; it is the value of an empty text.
    """
    kept = {
        one for wanted, _, _ in members if (one := resolve_alias(wanted)) in (bool, int, float, str)
    }
    lists_first = sorted(members, key=lambda member: not member[2])

    def read(node: Node, path: str, faults: list[str]) -> Any:
        value = None if node.children else node.read()
        if optional and not node.children and value in {None, ""}:
            return None
        if type(value) in kept:
            return value
        found: list[str] = []
        for _, reader, _ in lists_first if node.is_list() else members:
            found = []
            result = reader(node, path, found)
            if not found:
                return None if optional and result is ABSENT else result
        if len(members) == 1:
            return faults.extend(found)
        return fault(faults, path, f"is not {', '.join(type_name(one) for one, _, _ in members)}")

    return guarded(read)


# --- lists ----------------------------------------------------------------------------


def list_reader(make: Make, read_item: Reader) -> Reader:
    """Return the reader of a list, a set or a tuple of any length."""

    def read(node: Node, path: str, faults: list[str]) -> Any:
        before = len(faults)
        done = _converted(_items(node, path, faults), repeat(read_item), path, faults)
        return _made(make, done, path, faults) if len(faults) == before else None

    return guarded(read)


def _made(make: Make, content: object, path: str, faults: list[str]) -> Any:
    """Return a container; add a fault if it rejects its content, as a set rejects lists."""
    try:
        return make(content)
    except MISMATCH as error:
        text = f"cannot be an element of {type_name(make)} ({type(error).__name__})"
        return fault(faults, path, text)


def fixed_reader(readers: Sequence[Reader]) -> Reader:
    """Return the reader of a tuple with a type for each element."""

    def read(node: Node, path: str, faults: list[str]) -> Any:
        before = len(faults)
        items = _items(node, path, faults)
        if len(items) != len(readers) and len(faults) == before:
            fault(faults, path, f"has {len(items)} elements, not {len(readers)}")
        if len(faults) > before:
            return None
        return tuple(_converted(items, readers, path, faults))

    return guarded(read)


def _converted(
    items: Iterable[Node], readers: Iterable[Reader], path: str, faults: list[str]
) -> list[Any]:
    """Return the elements of a list, each converted by its reader."""
    places = (f"{path}[{number}]" for number in count())
    return [
        _present(read(item, place, faults), place, faults)
        for item, read, place in zip(items, readers, places, strict=False)
    ]


def _items(node: Node, path: str, faults: list[str]) -> Sequence[Node]:
    """Return the elements of a list, a comma list or JSON text, or the single value."""
    value = node.read()
    if isinstance(value, str):
        parsed = _parsed(value, "[")
        if parsed is not None:
            return parsed.items()
        if value.count(",") >= MAX_PROPERTIES:
            fault(faults, path, f"has more than {MAX_PROPERTIES:,} elements")
            return []
        return [Node("", value=one.strip()) for one in value.split(",")] if value.strip() else []
    if value is not None:
        return [Node("", value=value)]
    items = node.items()
    beyond = [index for index in node.indexes() if index >= len(items)]
    if beyond:
        fault(faults, path, f"has an element [{min(beyond)}], but no element [{len(items)}]")
    elif node.children and not items:
        fault(faults, path, "is not a list")
    return items


def _parsed(text: str, opening: str) -> Node | None:
    """Return the content of JSON text; `None` if it is not JSON or has another start."""
    if not text.lstrip().startswith(opening) or sum(map(text.count, ",[{")) > MAX_PROPERTIES:
        return None
    try:
        return node_from_json("", json.loads(text))
    except (ValueError, RecursionError):
        return None


# --- sections -------------------------------------------------------------------------


def section_of(node: Node) -> Node | None:
    """Return the section below a name, or in its JSON text; `None` for other values.

    An empty text is an empty section.
    """
    if node.children:
        return node
    value = node.read()
    if value is None or value == "":
        return Node(node.name)
    return _parsed(value, "{") if isinstance(value, str) else None


def mapping_reader(make: Make, readers: tuple[Reader, Reader], kind: Kind) -> Reader:
    """Return the reader of a mapping; the rest of each name is a key."""
    read_key, read_value = readers

    def read(node: Node, path: str, faults: list[str]) -> Any:
        section = section_of(node)
        if section is None:
            return fault(faults, path, _NO_SECTION)
        before = len(faults)
        entries: list[tuple[Any, Any]] = []
        for parts, child in _entries(section, kind, ()):
            place = below(path, join(list(parts)))
            key = Node("", value=".".join(name for name, _ in parts))
            result = read_value(child, place, faults)
            if result is not ABSENT:
                entries.append((_present(read_key(key, place, faults), place, faults), result))
        found: Any = _made(dict, entries, path, faults) if len(faults) == before else None
        return make(found) if len(faults) == before else None

    return guarded(read)


def _entries(
    node: Node, kind: Kind, above: tuple[Element, ...]
) -> Iterator[tuple[tuple[Element, ...], Node]]:
    for child in node.children.values():
        parts = (*above, (child.name, child.in_brackets))
        whole = kind == "other" or child.value is not None
        if whole or (kind == "list" and "0" in child.children):
            yield parts, child
        if kind != "other" and not (kind == "list" and "0" in child.children):
            yield from _entries(child, kind, parts)


def model_reader(model: Model, readers: Sequence[Reader]) -> Reader:
    """Return the reader of a class with fields."""

    def read(node: Node, path: str, faults: list[str]) -> Any:
        if not node.children and node.value == "":
            return ABSENT
        section = section_of(node)
        before = len(faults)
        if model.positional and (section is None or any(map(is_index, section.children))):
            items = _items(node, path, faults)
            if len(items) > len(readers):
                fault(faults, path, f"has {len(items)} elements, not {len(readers)}")
            section = Node("", children=dict(zip(model.names, items, strict=False)))
        if section is None:
            return fault(faults, path, _NO_SECTION)
        found = (
            (one.argument, _read_field(one, read_value, section, path, faults))
            for one, read_value in zip(model.fields, readers, strict=True)
        )
        arguments = {name: value for name, value in found if value is not ABSENT}
        if len(faults) > before:
            return None
        try:
            return model.make(arguments)
        except MISMATCH as error:
            text = f"is rejected by {model.name} ({type(error).__name__})"
            return fault(faults, path, text)

    return guarded(read)


def _read_field(one: Field, read: Reader, section: Node, path: str, faults: list[str]) -> Any:
    """Return the value of a field, converted; `ABSENT` if it is missing or empty."""
    child = next((found for name in one.names if (found := section.find(name))), None)
    if child is None:
        return fault(faults, below(path, one.shown), "is missing") if one.required else ABSENT
    place = child_path(path, child)
    value = (read_raw if one.takes_raw else read)(child, place, faults)
    if value is ABSENT and one.required:
        fault(faults, place, "is empty")
    return value
