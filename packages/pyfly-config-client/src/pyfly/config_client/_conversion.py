"""Conversion of properties to types; `get`, `bind` and pydantic-settings all use it.

A type is turned into a reader, which fails at once if the type is not supported. The reader then
converts the nodes that the type has fields for, and collects all their faults.
"""

import inspect
import re
import sys
from collections import UserString, defaultdict
from collections.abc import Callable, Iterable, Mapping, MutableSet
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin

from pyfly.config_client._merging import as_text
from pyfly.config_client._readers import (
    ABSENT,
    ExplainedError,
    Kind,
    Make,
    Reader,
    fixed_reader,
    list_reader,
    literal_reader,
    mapping_reader,
    model_reader,
    read_raw,
    scalar_reader,
    union_reader,
)
from pyfly.config_client._types import (
    DataSize,
    is_type,
    model_of,
    parse_duration,
    resolve_alias,
    type_name,
    union_members,
)
from pyfly.config_client._views import Node
from pyfly.config_client.errors import PropertyTypeError, UnsupportedTypeError
from pyfly.config_core import FlatValue

__all__ = ["bind_as", "get_as", "is_type", "lenient_reader"]

_ABSTRACT: Any = {AbstractSet: set, MutableSet: set}
_OF_OTHER_CONTENT: Any = (str, bytes, bytearray, range, defaultdict, UserString)
"""Iterable classes that cannot be made of a list or a mapping."""
_CONTAINERS = {"builtins", "collections", "collections.abc"}
_OF_A_MAPPING = 2


def read_as(wanted: Any) -> Reader:
    """Return the reader of a type.

    Raises:
        UnsupportedTypeError: There is no conversion to that type.
    """
    return ReaderFactory().reader(wanted)


def lenient_reader(wanted: Any) -> Reader:
    """Return the reader of a type; the values of an unsupported type are not converted."""
    return ReaderFactory(lenient=True).reader(wanted)


@cache
def simple_reader(wanted: type) -> Reader | None:
    """Return the reader of a type that needs one value, such as `int`; `None` for others."""
    return scalar_reader(SIMPLE[wanted], type_name(wanted)) if wanted in SIMPLE else None


def convert(node: Node, read: Reader, path: str) -> Any:
    """Return a node, converted by a reader; `ABSENT` for an empty text.

    Raises:
        PropertyTypeError: It cannot be converted. The error names every faulty property and shows
            no value.
    """
    faults: list[str] = []
    try:
        result = read(node, path, faults)
    except RecursionError:
        raise PropertyTypeError(f"the property {path!r} is nested too deeply") from None
    if faults:
        raise PropertyTypeError("; ".join(faults))
    return result


class _ForwardReader:
    """A reader of a type that contains itself: it can be referred to before it is made."""

    reader: Reader

    def read(self, node: Node, path: str, faults: list[str]) -> Any:
        """Convert with the reader, which exists when this is called."""
        return self.reader(node, path, faults)


class ReaderFactory:
    """Makes the readers of types. Each type has one reader, so that it may contain itself.

    Args:
        lenient: An unsupported type is not an error; its values are not converted, and pydantic
            validates them.
    """

    def __init__(self, *, lenient: bool = False) -> None:
        self._lenient = lenient
        self._known: list[tuple[Any, _ForwardReader]] = []

    def reader(self, wanted: Any) -> Reader:
        """Return the reader of a type.

        Raises:
            UnsupportedTypeError: There is no conversion to that type.
        """
        for known, later in self._known:
            if known is wanted:
                return later.read
        later = _ForwardReader()
        self._known.append((wanted, later))
        later.reader = made = self._made(wanted)
        return made

    def _made(self, wanted: Any) -> Reader:
        try:
            found = resolve_alias(wanted)
        except UnsupportedTypeError:
            if self._lenient:
                return read_raw
            raise
        if found is not wanted:
            return self.reader(found)
        if found is Any or found is object:
            return read_raw
        if (members := union_members(found)) is not None:
            inner = [one for one in members if one is not type(None)]
            optional = len(inner) < len(members)
            lists = [kind_of(one) == "list" for one in inner]
            readers = [self.reader(one) for one in inner]
            return union_reader(list(zip(inner, readers, lists, strict=True)), optional=optional)
        if get_origin(found) is Literal:
            return literal_reader(get_args(found))
        return self._model(found) or self._container(found) or self._single(found)

    def _model(self, wanted: Any) -> Reader | None:
        if callable(getattr(wanted, "model_validate", None)):
            from pyfly.config_client._pydantic import model_validating_reader  # noqa: PLC0415 - only for pydantic

            return model_validating_reader(wanted, lenient_reader)
        model = model_of(wanted)
        if model is None:
            return None
        return model_reader(model, [self.reader(one.wanted) for one in model.fields])

    def _container(self, wanted: Any) -> Reader | None:
        origin: Any = get_origin(wanted) or wanted
        arguments = get_args(wanted)
        if _is_container(origin, Mapping):
            key, value = arguments if len(arguments) == _OF_A_MAPPING else (str, Any)
            readers = self.reader(key), self.reader(value)
            return mapping_reader(_maker(origin, dict), readers, kind_of(value))
        if not _is_container(origin, Iterable):
            return None
        if origin is tuple and arguments and arguments[-1] is not Ellipsis:
            return fixed_reader([self.reader(one) for one in arguments])
        below = self.reader(arguments[0] if arguments else Any)
        return list_reader(_maker(origin, _ABSTRACT.get(origin, list)), below)

    def _single(self, wanted: Any) -> Reader:
        if hasattr(wanted, "__get_pydantic_core_schema__") and wanted is not DataSize:
            from pyfly.config_client._pydantic import adapter_reader  # noqa: PLC0415 - only for pydantic

            return adapter_reader(wanted)
        make = scalar(wanted)
        if make is not None:
            return scalar_reader(make, type_name(wanted))
        if self._lenient:
            return read_raw
        raise UnsupportedTypeError(
            f"there is no conversion to {type_name(wanted)}; use one of the documented types, or a "
            "class whose constructor takes one text"
        )


def _maker(origin: type, otherwise: Make) -> Make:
    """Return the class to make a container with; a concrete class for an abstract one."""
    return otherwise if origin.__module__ == "collections.abc" else origin


def kind_of(wanted: Any) -> Kind:
    """Return where the keys of a mapping end, if its values have this type."""
    found = resolve_alias(wanted)
    if (members := union_members(found)) is not None:
        kinds: set[Kind] = {kind_of(one) for one in members if one is not type(None)}
        return kinds.pop() if len(kinds) == 1 else "other"
    origin = get_origin(found) or found
    if origin is Literal:
        return "single"
    has_fields = hasattr(found, "model_validate") or model_of(found) is not None
    if found is Any or origin is object or has_fields or _is_container(origin, Mapping):
        return "other"
    return "list" if _is_container(origin, Iterable) else "single"


def _is_container(origin: Any, kind: type) -> bool:
    return (
        isinstance(origin, type)
        and origin.__module__ in _CONTAINERS
        and issubclass(origin, kind)
        and not issubclass(origin, _OF_OTHER_CONTENT)
    )


Find = Callable[[str], Node | None]


def get_as(find: Find, leaf: Find, key: str, wanted: Any) -> tuple[Any] | None:
    """Return the value of a key, converted, in a tuple; `None` if it is absent or empty.

    Args:
        find: Returns the node of a name, with all names below it.
        leaf: Returns the node of a property without the names below it, which is faster.
        key: The name.
        wanted: The type.

    Raises:
        UnsupportedTypeError: There is no conversion to that type.
        PropertyTypeError: It cannot be converted.
    """
    simple = simple_reader(wanted) if isinstance(wanted, type) else None
    read = simple or read_as(wanted)
    node = (leaf(key) if simple else None) or find(key)
    if node is None:
        return None
    value = convert(node, read, key)
    return None if value is ABSENT else (value,)


def bind_as(find: Find, prefix: str, model: Any) -> Any:
    """Return the section below a prefix, converted; an empty section gives the defaults.

    Raises:
        UnsupportedTypeError: There is no conversion to that type, or to that of a field.
        PropertyTypeError: Properties are missing or cannot be converted.
    """
    read = read_as(model)
    node = find(prefix)
    if node is None or (node.value == "" and not node.children):
        node = Node("")
    value = convert(node, read, prefix)
    assert value is not ABSENT  # noqa: S101 - only an empty text is
    return value


# --- single values --------------------------------------------------------------------

_TRUE: Final = frozenset({"true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_HEXADECIMAL: Final = re.compile(r"[+-]?0[xX][0-9a-fA-F]+")
_IGNORED_IN_MEMBERS: Final = re.compile(r"[\W_]+")
_MOST_DIGITS: Final = 4_000
"""Below Python's own limit; conversion takes quadratic time."""


def scalar(wanted: Any) -> Make | None:
    """Return the function that converts a single value to a type; `None` if it is not supported.

    The function raises one of `MISMATCH` if a value cannot be converted.
    """
    if wanted in SIMPLE:
        return SIMPLE[wanted]
    if not isinstance(wanted, type):
        return None
    if _is(wanted, "enum", "Enum"):
        return lambda value: _member(wanted, value)
    text = next((read for test, read in _SUBCLASSES if test(wanted)), None)
    if text is None and _takes_one_text(wanted):
        text = as_text
    make: Any = wanted
    return None if text is None else lambda value: make(text(value))


def _is(wanted: type, module: str, name: str) -> bool:
    """True for a class of a module or its subclasses; does not import the module."""
    found = sys.modules.get(module)
    return found is not None and issubclass(wanted, getattr(found, name))


def _takes_one_text(wanted: Any) -> bool:
    """True for a class whose constructor takes one text, such as `IPv4Address`."""
    if wanted.__init__ is object.__init__ and wanted.__new__ is object.__new__:
        return False
    try:
        parameters = list(inspect.signature(wanted).parameters.values())
    except (ValueError, TypeError):
        return False
    required = [one for one in parameters if one.default is one.empty]
    return (
        len(required) == 1
        and required[0] is parameters[0]
        and required[0].kind in {required[0].POSITIONAL_ONLY, required[0].POSITIONAL_OR_KEYWORD}
        and required[0].annotation in {str, "str", required[0].empty}
    )


def _stripped(value: FlatValue) -> str:
    if isinstance(value, bool):
        raise TypeError
    return str(value).strip()


def _not_empty(value: FlatValue) -> str:
    text = as_text(value)
    if not text:
        raise ValueError
    return text


def _bool(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _int(value: FlatValue) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    if not isinstance(value, str):
        return int(value)
    text = value.strip()
    if len(text) > _MOST_DIGITS:
        raise ExplainedError("has too many digits")
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if not _WHOLE.fullmatch(text):
        raise ValueError
    return int(text)


def _float(value: FlatValue) -> float:
    return float(_stripped(value))


def _explained(parse: Callable[[str], Any]) -> Make:
    def read(value: object) -> Any:
        try:
            return parse(str(value))
        except ValueError as error:
            raise ExplainedError(f"is {error}") from None

    return read


def _member(wanted: Any, value: FlatValue) -> Any:
    """Return a member by its value, or by any spelling of its name, as Spring does."""
    text = as_text(value)
    for member in wanted:
        if member.value == value and type(member.value) is type(value):
            return member
    for member in wanted:
        if _plain(member.name) == _plain(text) or str(member.value) == text.strip():
            return member
    raise ExplainedError(f"is not one of {', '.join(member.name for member in wanted)}")


def _plain(name: str) -> str:
    return _IGNORED_IN_MEMBERS.sub("", name).lower()


SIMPLE: Final[dict[Any, Make]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: as_text,
    bytes: lambda value: as_text(value).encode(),
    date: lambda value: date.fromisoformat(_stripped(value)),
    datetime: lambda value: datetime.fromisoformat(_stripped(value)),
    time: lambda value: time.fromisoformat(_stripped(value)),
    timedelta: _explained(parse_duration),
    DataSize: _explained(DataSize.parse),
}

_SUBCLASSES: Final[tuple[tuple[Callable[[type], bool], Make], ...]] = (
    (lambda wanted: issubclass(wanted, str), as_text),
    (lambda wanted: issubclass(wanted, int), _int),
    (lambda wanted: issubclass(wanted, float), _float),
    (lambda wanted: issubclass(wanted, bytes), SIMPLE[bytes]),
    (lambda wanted: _is(wanted, "decimal", "Decimal"), _stripped),
    (lambda wanted: _is(wanted, "uuid", "UUID"), _stripped),
    (lambda wanted: _is(wanted, "pathlib", "PurePath"), _not_empty),
)
