"""Properties as trees and as flat keys: copying, flattening, merging.

Pure functions over plain values. Reading and writing text is not done here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, cast

from pyfly.config_core._quoting import shown
from pyfly.config_core.errors import ConfigFormatError
from pyfly.config_core.limits import MAX_DEPTH, MAX_FLAT_BYTES, MAX_NODES, MAX_PROPERTIES

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""A tree of properties, or a part of one."""

FlatValue: TypeAlias = bool | int | float | str
"""The value of a flat key."""

_RETIRED_KEY: Final = "spring.profiles"
_INFINITY: Final = float("inf")
_LONGEST_INTEGER: Final = 14_000
"""In bits. Python converts integers of up to 4,300 decimal digits into text."""
_LONGEST_PATH: Final = 200
_FLOAT_SIZE: Final = 8
# Tuples, because a union such as `dict | list` would be built again for every value.
_CONTAINERS: Final = (dict, list)
_PLAIN: Final = (bool, float)
_SEQUENCES: Final = (list, tuple)
_MAPPINGS: Final = (dict, Mapping)
"""A dict is recognized without asking the abstract class."""
_Path: TypeAlias = tuple[object, object] | None
"""The path to a value: its parent's path and one step. Converted to text for messages only."""


def copy_properties(properties: Mapping[str, object]) -> dict[str, JsonValue]:
    """Return a deep copy that consists of dicts, lists and scalars only.

    Raises:
        ConfigFormatError: A key is not a string, a value is of a type that JSON does not have,
            a text is not valid Unicode, an integer has more than 4,200 digits, or the tree is
            deeper than 64 levels or has more than 50,000 mappings, lists and values.
    """
    return _Copy().mapping(cast("Mapping[object, object]", properties), None, 1)


class _Copy:
    """Makes one copy and counts its nodes."""

    def __init__(self) -> None:
        self._nodes = 1

    def mapping(
        self, node: Mapping[object, object], path: _Path, depth: int
    ) -> dict[str, JsonValue]:
        """Return a mapping whose values are at this depth."""
        return {_key(k, path): self._value(v, (path, k), depth) for k, v in node.items()}

    def _value(self, value: object, path: _Path, depth: int) -> JsonValue:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ConfigFormatError(f"more than {MAX_NODES:,} mappings, lists and values")
        if isinstance(value, str):
            return value if value.isascii() else _unicode(value, path)
        if value is None or isinstance(value, _PLAIN):
            return value
        if isinstance(value, int):
            return _integer(value, path)
        if depth >= MAX_DEPTH:
            raise _too_deep(path)
        if isinstance(value, _MAPPINGS):
            # isinstance does not know the type parameters
            return self.mapping(cast("Mapping[object, object]", value), path, depth + 1)
        if isinstance(value, _SEQUENCES):
            items = cast("Sequence[object]", value)  # as above
            return [self._value(item, (path, i), depth + 1) for i, item in enumerate(items)]
        raise ConfigFormatError(
            f"{_place(path)} holds a {type(value).__name__}; JSON has no such type"
        )


def _key(key: object, path: _Path) -> str:
    if not isinstance(key, str):
        place = f"below {_place(path)}" if path else "at the top level"
        raise ConfigFormatError(f"a key {place} is a {type(key).__name__}, not a string")
    return key if key.isascii() else _unicode(key, (path, key))


def _unicode(text: str, path: _Path) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigFormatError(f"a text at {_place(path)} is not valid Unicode") from error
    return text


def _integer(value: int, path: _Path) -> int:
    if value.bit_length() > _LONGEST_INTEGER:
        raise ConfigFormatError(f"{_place(path)} is a number with too many digits")
    return value


def _too_deep(path: _Path) -> ConfigFormatError:
    return ConfigFormatError(f"{_place(path)} is nested deeper than {MAX_DEPTH} levels")


def _place(path: _Path) -> str:
    """Return a path for a message, shortened."""
    steps: list[object] = []
    while path is not None:
        above, step = path
        steps.append(step)
        path = cast("_Path", above)
    text = ""
    for step in reversed(steps):
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
        if len(text) > _LONGEST_PATH:
            break
    return shown(text)


class FlatBudget:
    """Counts the flat properties of one tree, or of all trees of one bundle or answer.

    Raises while counting, before anything too large is made.

    Args:
        whole: The end of messages, which says what is counted: `" in one answer"`.
        limit: How many bytes are allowed.
    """

    __slots__ = ("_bytes", "_limit", "_properties", "_whole")

    def __init__(self, whole: str = "", *, limit: int = MAX_FLAT_BYTES) -> None:
        self._whole = whole
        self._limit = limit
        self._properties = 0
        self._bytes = 0

    @property
    def properties(self) -> int:
        """The number of counted properties."""
        return self._properties

    @property
    def size(self) -> int:
        """The counted bytes of flat keys and values."""
        return self._bytes

    def take(self, size: int, *, properties: int = 1) -> None:
        """Count properties; `size` is the number of bytes of their flat keys and values.

        Raises:
            ConfigFormatError: There are more than 20,000 properties, or more than `limit` bytes.
        """
        self._properties += properties
        self._bytes += size
        if self._properties > MAX_PROPERTIES:
            raise ConfigFormatError(f"more than {MAX_PROPERTIES:,} properties{self._whole}")
        if self._bytes > self._limit:
            raise ConfigFormatError(
                f"more than {self._limit:,} bytes of flat keys and values{self._whole}"
            )


def flatten(
    properties: Mapping[str, JsonValue], budget: FlatBudget | None = None
) -> dict[str, FlatValue]:
    """Return the flat keys of a tree in document order.

    If two places of the tree give the same flat key, the later one wins. Nulls and empty lists
    become the empty string, empty mappings are left out, infinities and NaN become the strings
    that a Spring server sends.

    >>> flatten({"db": {"hosts": ["a", "b"], "pool.size": 5, "none": None}})
    {'db.hosts[0]': 'a', 'db.hosts[1]': 'b', 'db.pool.size': 5, 'db.none': ''}

    Args:
        properties: The tree.
        budget: The budget of the bundle or answer that this tree is a part of; by default a new
            one.

    Raises:
        ConfigFormatError: The tree is deeper than 64 levels, or the whole has more than 20,000
            properties or more than 4 MiB of flat keys and values. Nothing larger is made.
    """
    return dict(_pairs(properties, budget))


def check_collisions(properties: Mapping[str, JsonValue]) -> None:
    """Refuse a tree in which two places give the same flat key.

    Raises:
        ConfigFormatError: As in `{"a.b": 1, "a": {"b": 2}}`; names the key. Also as `flatten`.
    """
    seen: set[str] = set()
    for key, _ in _pairs(properties, None):
        if key in seen:
            raise ConfigFormatError(f"the key {shown(key)} is given twice")
        seen.add(key)


def _pairs(
    properties: Mapping[str, JsonValue], budget: FlatBudget | None
) -> list[tuple[str, FlatValue]]:
    flattening = _Flattening(budget or FlatBudget())
    flattening.collect(_named(properties, 0), 0, 1)
    return flattening.pairs


class _Flattening:
    """Collects the pairs of one tree. Counts the size of a key before it makes the key."""

    __slots__ = ("_budget", "_parts", "pairs")

    def __init__(self, budget: FlatBudget) -> None:
        self.pairs: list[tuple[str, FlatValue]] = []
        self._budget = budget
        self._parts: list[str] = []

    def collect(self, children: Iterable[tuple[str, JsonValue]], size: int, depth: int) -> None:
        """Collect everything below one node.

        Args:
            children: For each child the end of its flat key, and its value.
            size: Bytes of the flat key of the node.
            depth: The depth of the children.
        """
        prefix: str | None = None
        for part, value in children:
            here = size + _size(part)
            if isinstance(value, _CONTAINERS):
                if depth >= MAX_DEPTH:
                    raise _too_deep_key("".join((*self._parts, part)))
                if value or isinstance(value, dict):
                    self._parts.append(part)
                    self.collect(_below(value, here), here, depth + 1)
                    self._parts.pop()
                    continue
            single = _single(value)
            self._budget.take(here + _size(single))
            prefix = "".join(self._parts) if prefix is None else prefix
            self.pairs.append((prefix + part, single))


def _too_deep_key(key: str) -> ConfigFormatError:
    return ConfigFormatError(f"{shown(key)} is nested deeper than {MAX_DEPTH} levels")


def _below(
    node: dict[str, JsonValue] | list[JsonValue], size: int
) -> Iterable[tuple[str, JsonValue]]:
    """Return the children of a mapping or list, each with the end of its flat key."""
    if isinstance(node, dict):
        return _named(node, size)
    return ((f"[{index}]", item) for index, item in enumerate(node))


def _named(node: Mapping[str, JsonValue], size: int) -> Iterator[tuple[str, JsonValue]]:
    for key, value in node.items():
        yield key if not size or key.startswith("[") else f".{key}", value


def _single(value: JsonValue) -> FlatValue:
    """Return a single value as a flat key holds it."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return _json_float(value)
    return "" if value is None or isinstance(value, _CONTAINERS) else value


def _size(value: FlatValue) -> int:
    """Return the bytes of a value in UTF-8: exact for a text, estimated otherwise."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    return value.bit_length() // 3 + 1 if isinstance(value, int) else _FLOAT_SIZE


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
    """Remove `spring.profiles` and its list elements in place.

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
    """Return one flat mapping with the effective properties of several flat sources.

    A list is taken whole from the highest source that has any part of it. If one source has `a`
    and another has `a[0]`, the form in the higher source replaces the other. Plain keys come
    first, in the order of their first appearance from the lowest source up; lists follow.

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
