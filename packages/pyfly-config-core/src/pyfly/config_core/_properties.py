"""Properties as trees and as flat keys: copying, flattening, merging.

Pure functions over plain values. Reading and writing text is not done here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, cast

from pyfly.config_core.errors import ConfigFormatError
from pyfly.config_core.limits import MAX_DEPTH, MAX_PROPERTIES

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""What a tree of properties is made of."""

FlatValue: TypeAlias = bool | int | float | str
"""What a flat key holds."""

_RETIRED_KEY: Final = "spring.profiles"
_INFINITY: Final = float("inf")


def copy_properties(properties: Mapping[str, object]) -> dict[str, JsonValue]:
    """Return a deep copy that consists of dicts, lists and scalars only.

    Raises:
        ConfigFormatError: A key is not a string, a value is of a type that JSON does not have,
            a text is not valid Unicode, or the tree is deeper than 64 levels.
    """
    return {_text(key, ""): _copy(value, key, 1) for key, value in properties.items()}


def _copy(value: object, path: str, depth: int) -> JsonValue:
    if isinstance(value, str):
        return _text(value, path)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= MAX_DEPTH:
        raise ConfigFormatError(f"{path!r} is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        node = cast("Mapping[object, object]", value)  # isinstance cannot tell the parameters
        return {_text(k, path): _copy(v, f"{path}.{k}", depth + 1) for k, v in node.items()}
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)  # as above
        return [_copy(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(items)]
    raise ConfigFormatError(f"{path!r} holds a {type(value).__name__}; JSON has no such type")


def _text(value: object, path: str) -> str:
    if not isinstance(value, str):
        place = f"below {path!r}" if path else "at the top"
        raise ConfigFormatError(f"a key {place} is a {type(value).__name__}, not a string")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigFormatError(f"a text at {path!r} is not valid Unicode") from error
    return value


def flatten(properties: Mapping[str, JsonValue]) -> dict[str, FlatValue]:
    """Return the flat keys of a tree in document order (contract §2.3, §2.5).

    Where two places of the tree give the same flat key, the later one wins. Nulls and empty
    lists become the empty string, empty mappings vanish, infinities and NaN become the strings
    that a Spring server sends.

    >>> flatten({"db": {"hosts": ["a", "b"], "pool.size": 5, "none": None}})
    {'db.hosts[0]': 'a', 'db.hosts[1]': 'b', 'db.pool.size': 5, 'db.none': ''}

    Raises:
        ConfigFormatError: The tree is deeper than 64 levels or has more than 20,000 properties.
    """
    return dict(_limited(_iter_mapping(properties, "", 1)))


def check_collisions(properties: Mapping[str, JsonValue]) -> None:
    """Refuse a tree in which two places give the same flat key.

    Raises:
        ConfigFormatError: As in `{"a.b": 1, "a": {"b": 2}}`; names the key. Also as `flatten`.
    """
    seen: set[str] = set()
    for key, _ in _limited(_iter_mapping(properties, "", 1)):
        if key in seen:
            raise ConfigFormatError(f"the key {key!r} is given twice")
        seen.add(key)


def _limited(pairs: Iterable[tuple[str, FlatValue]]) -> Iterator[tuple[str, FlatValue]]:
    for count, pair in enumerate(pairs):
        if count >= MAX_PROPERTIES:
            raise ConfigFormatError(f"more than {MAX_PROPERTIES:,} properties")
        yield pair


def _iter_mapping(
    node: Mapping[str, JsonValue], prefix: str, depth: int
) -> Iterator[tuple[str, FlatValue]]:
    for key, value in node.items():
        separator = "." if prefix and not key.startswith("[") else ""
        yield from _iter_value(value, f"{prefix}{separator}{key}", depth)


def _iter_value(value: JsonValue, path: str, depth: int) -> Iterator[tuple[str, FlatValue]]:
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        raise ConfigFormatError(f"{path!r} is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        yield from _iter_mapping(value, path, depth + 1)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _iter_value(item, f"{path}[{index}]", depth + 1)
    elif value is None or isinstance(value, list):
        yield path, ""
    elif isinstance(value, float):
        yield path, _json_float(value)
    else:
        yield path, value


def _json_float(value: float) -> FlatValue:
    if value - value == 0:
        return value
    if value == _INFINITY:
        return "Infinity"
    return "-Infinity" if value == -_INFINITY else "NaN"


def finite(value: JsonValue) -> JsonValue:
    """Return the tree with infinities and NaN as the texts that a Spring server sends."""
    if isinstance(value, dict):
        return {key: finite(below) for key, below in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return _json_float(value) if isinstance(value, float) else value


def drop_retired(flat: dict[str, FlatValue]) -> list[str]:
    """Remove `spring.profiles` and its list elements in place (contract §3.5).

    Clients from Spring Boot 3 on refuse to start with that key. `spring.profiles.active` and
    its siblings stay.

    Returns:
        The keys that were removed.
    """
    retired = [key for key in flat if key == _RETIRED_KEY or key.startswith(_RETIRED_KEY + "[")]
    for key in retired:
        del flat[key]
    return retired


def merge(sources: Sequence[Mapping[str, FlatValue]]) -> dict[str, FlatValue]:
    """Fold flat sources into one flat mapping (contract §4.1).

    A list is taken whole from the highest source that has any part of it. Where one source has
    `a` and another `a[0]`, the higher form replaces the lower. Plain keys come first, in the
    order of their first appearance from the lowest source up; lists follow.

    >>> merge([{"list[0]": 9}, {"list[0]": 1, "list[1]": 2, "name": "x"}])
    {'name': 'x', 'list[0]': 9}

    Args:
        sources: Highest precedence first, as an environment document lists them.
    """
    plain: dict[str, FlatValue] = {}
    groups: dict[str, dict[str, FlatValue]] = {}
    for source in reversed(sources):
        own: dict[str, dict[str, FlatValue]] = {}
        for key, value in source.items():
            stem, bracket, _ = key.partition("[")
            if bracket:
                plain.pop(stem, None)
                own.setdefault(stem, {})[key] = value
            else:
                own.pop(key, None)
                groups.pop(key, None)
                plain[key] = value
        groups.update(own)
    merged = plain
    for group in groups.values():
        merged.update(group)
    merged.pop(_RETIRED_KEY, None)
    return merged
