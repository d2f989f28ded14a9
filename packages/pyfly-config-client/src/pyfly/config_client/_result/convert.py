"""From texts and trees of properties to the types that a program asks for."""

import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from typing import Any, Final, Literal, Union, cast, get_args, get_origin

from pyfly.config_client._result.names import folded, relaxed
from pyfly.config_client._result.quantities import DataSize, parse_duration
from pyfly.config_client.errors import PropertyTypeError
from pyfly.config_core import FlatValue, JsonValue

_TRUE: Final = frozenset({"true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})
_MISMATCH: Final = (ValueError, TypeError, ArithmeticError)


def convert(node: JsonValue, wanted: Any, path: str) -> Any:
    """Return a tree of properties as the type that is wanted.

    Raises:
        PropertyTypeError: It cannot be had; names every property at fault, shows no value.
    """
    faults: list[str] = []
    result = _Converter(faults).convert(node, wanted, path)
    if faults:
        raise PropertyTypeError("; ".join(faults))
    return result


class _Converter:
    """Converts a tree and collects what is wrong with it."""

    def __init__(self, faults: list[str]) -> None:
        self._faults = faults

    def convert(self, node: JsonValue, wanted: Any, path: str) -> Any:
        """Return the value; note a fault and return `None` where there is none."""
        origin = get_origin(wanted)
        if origin in {Union, types.UnionType}:
            return self._union(node, wanted, path)
        if origin is Literal:
            return self._literal(node, get_args(wanted), path)
        if origin is not None or wanted in {list, tuple, set, frozenset, dict}:
            return self._container(node, wanted, origin or wanted, path)
        return self._plain(node, wanted, path)

    def _plain(self, node: JsonValue, wanted: Any, path: str) -> Any:
        if is_dataclass(wanted) and isinstance(wanted, type):
            return self._dataclass(node, wanted, path)
        if callable(getattr(wanted, "model_validate", None)):
            return self._model(node, wanted, path)
        if wanted in {Any, object}:
            return node
        if isinstance(node, dict | list) or node is None:
            what = "no value" if node is None else "more than one value"
            return self._fault(path, f"holds {what}, where {_named(wanted)} is wanted")
        return self._scalar(node, wanted, path)

    def _fault(self, path: str, text: str) -> None:
        self._faults.append(f"the property {path!r} {text}")

    def _scalar(self, value: FlatValue, wanted: Any, path: str) -> Any:
        try:
            return _SCALARS.get(wanted, _other(wanted))(value)
        except _MISMATCH as error:
            reason = str(error) if type(error) is _ExpectedError else f"is not {_named(wanted)}"
            return self._fault(path, reason)

    def _union(self, node: JsonValue, wanted: Any, path: str) -> Any:
        members = get_args(wanted)
        if type(None) in members and (node is None or node == ""):
            return None
        for member in (one for one in members if one is not type(None)):
            faults: list[str] = []
            value = _Converter(faults).convert(node, member, path)
            if not faults:
                return value
        names = ", ".join(_named(one) for one in members if one is not type(None))
        return self._fault(path, f"is not {names}")

    def _literal(self, node: JsonValue, choices: tuple[object, ...], path: str) -> Any:
        for choice in choices:
            if node == choice or (isinstance(node, str) and node == str(choice)):
                return choice
        return self._fault(path, f"is none of {', '.join(map(repr, choices))}")

    def _container(self, node: JsonValue, wanted: Any, origin: Any, path: str) -> Any:
        arguments = get_args(wanted)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            if not isinstance(node, dict):
                return self._fault(path, "is not a section")
            below = arguments[1] if arguments else Any
            return {k: self.convert(v, below, f"{path}.{k}") for k, v in node.items()}
        items = _items(node)
        if items is None:
            return self._fault(path, "is not a list")
        if origin is tuple and arguments and arguments[-1] is not Ellipsis:
            return self._fixed(items, arguments, path)
        below = arguments[0] if arguments else Any
        done = [self.convert(item, below, f"{path}[{n}]") for n, item in enumerate(items)]
        makers: dict[Any, Callable[[list[Any]], Any]] = {
            tuple: tuple,
            set: set,
            frozenset: frozenset,
        }
        return makers.get(origin, list)(done)

    def _fixed(self, items: Sequence[JsonValue], kinds: tuple[Any, ...], path: str) -> Any:
        if len(items) != len(kinds):
            return self._fault(path, f"has {len(items)} elements, not {len(kinds)}")
        pairs = enumerate(zip(items, kinds, strict=True))
        return tuple(self.convert(item, kind, f"{path}[{n}]") for n, (item, kind) in pairs)

    def _dataclass(self, node: JsonValue, wanted: type, path: str) -> Any:
        if not isinstance(node, dict):
            return self._fault(path, "is not a section")
        known = {relaxed(key): key for key in reversed(node)}
        hints = typing.get_type_hints(wanted)
        before = len(self._faults)
        arguments: dict[str, Any] = {}
        for one in fields(wanted):
            key = known.get(relaxed(one.name))
            if key is not None and one.init:
                arguments[one.name] = self.convert(node[key], hints[one.name], _join(path, key))
            elif one.init and one.default is MISSING and one.default_factory is MISSING:
                self._fault(_join(path, one.name), "is missing")
        if len(self._faults) > before:
            return None
        try:
            return wanted(**arguments)
        except _MISMATCH as error:
            return self._fault(path, f"is refused by {wanted.__name__} ({type(error).__name__})")

    def _model(self, node: JsonValue, wanted: Any, path: str) -> Any:
        from pyfly.config_client._result.models import validate  # noqa: PLC0415 - pydantic's models only

        value, faults = validate(wanted, node)
        for place, text in faults:
            self._fault(_join(path, place) if place else path, text)
        return value


class _ExpectedError(ValueError):
    """Ours: its text shows no value."""


def _bool(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _int(value: FlatValue) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def _float(value: FlatValue) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _str(value: FlatValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quantity(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    def read(value: object) -> Any:
        try:
            return parse(str(value))
        except ValueError as error:
            raise _ExpectedError(f"is {error}") from None

    return read


_SCALARS: Final[dict[Any, Callable[[Any], Any]]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    timedelta: _quantity(parse_duration),
    DataSize: _quantity(DataSize.parse),
}


def _other(wanted: Any) -> Callable[[Any], Any]:
    """Return how to make a type that is not in the table: an enumeration, a path, a decimal."""
    enum = sys.modules.get("enum")
    if enum is not None and isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return lambda value: _member(wanted, value)
    return lambda value: wanted(_str(value))


def _member(wanted: Any, value: object) -> Any:
    for member in wanted:
        if member.value == value or folded(member.name) == folded(str(value)):
            return member
    raise _ExpectedError(f"is none of {', '.join(member.name for member in wanted)}")


def _items(node: JsonValue) -> Sequence[JsonValue] | None:
    """Return the elements of a list, of a comma list, or of a single value."""
    if isinstance(node, list):
        return node
    if isinstance(node, str):
        return [item.strip() for item in node.split(",")] if node.strip() else []
    return None if isinstance(node, dict) or node is None else [node]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _named(wanted: Any) -> str:
    return str(getattr(wanted, "__name__", None) or cast("object", wanted))
