"""From nodes of properties to every type that a program asks for. The only such conversion.

A type becomes a reader once; that says at once if it is not supported. The reader then takes
nodes, looks only at those that the type asks for, and collects what is wrong with them.
"""

from collections import UserString, defaultdict
from collections.abc import Callable, Iterable, Mapping, MutableSet
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pyfly.config_client._nodes import Node
from pyfly.config_client._readers import (
    ABSENT,
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
from pyfly.config_client._scalars import SIMPLE, DataSize, scalar
from pyfly.config_client._types import model_of, resolve_alias, type_name, union_members
from pyfly.config_client.errors import PropertyTypeError, UnsupportedTypeError

_ABSTRACT: Any = {AbstractSet: set, MutableSet: set}
_OF_OTHER_CONTENT: Any = (str, bytes, bytearray, range, defaultdict, UserString)
"""Classes that can be iterated over, and are not made of a list or a mapping."""
_CONTAINERS = {"builtins", "collections", "collections.abc"}
_OF_A_MAPPING = 2


def read_as(wanted: Any) -> Reader:
    """Return the reader of a type.

    Raises:
        UnsupportedTypeError: There is no conversion to that type.
    """
    return ReaderFactory().reader(wanted)


@cache
def simple_reader(wanted: type) -> Reader | None:
    """Return the reader of a type that needs no deeper names, such as `int`, or `None`."""
    return scalar_reader(SIMPLE[wanted], type_name(wanted)) if wanted in SIMPLE else None


def convert(node: Node, read: Reader, path: str) -> Any:
    """Return a node as the type that is wanted; `ABSENT` for an empty text.

    Raises:
        PropertyTypeError: It cannot be had; names every property at fault, shows no value.
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
    """A reader that may be used before it is known, because its type contains itself."""

    reader: Reader

    def read(self, node: Node, path: str, faults: list[str]) -> Any:
        """Read with the reader that is known by now."""
        return self.reader(node, path, faults)


class ReaderFactory:
    """Makes readers of types; each type has one, so that types may contain themselves.

    Args:
        lenient: A type that is not supported gets mappings, lists and single values, which
            pydantic then judges.
    """

    def __init__(self, *, lenient: bool = False) -> None:
        self._lenient = lenient
        self._known: list[tuple[Any, _ForwardReader]] = []

    def reader(self, wanted: Any) -> Reader:
        """Return the reader of a type.

        Raises:
            UnsupportedTypeError: There is none.
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
            from pyfly.config_client._pydantic import model_validating_reader  # noqa: PLC0415 - its models only

            return model_validating_reader(wanted)
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
            from pyfly.config_client._pydantic import adapter_reader  # noqa: PLC0415 - its types only

            return adapter_reader(wanted)
        make = scalar(wanted)
        if make is not None:
            return scalar_reader(make, type_name(wanted))
        if self._lenient:
            return read_raw
        raise UnsupportedTypeError(
            f"there is no conversion to {type_name(wanted)}; ask for one of the documented types, "
            "or for a class that is made of one text"
        )


def _maker(origin: type, otherwise: Make) -> Make:
    """Return what makes a container; an abstract one is made as a concrete one."""
    return otherwise if origin.__module__ == "collections.abc" else origin


def kind_of(wanted: Any) -> Kind:
    """Return how the values of a mapping end the names of its keys."""
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
    """Return the value of a key as a type, or `None` if there is none or it is empty.

    Args:
        find: Returns the node of a name, with what lies below it.
        leaf: Returns the node of a property without that, which is faster.
        key: The name.
        wanted: The type.

    Raises:
        UnsupportedTypeError: There is no conversion to that type.
        PropertyTypeError: It does not fit.
    """
    simple = simple_reader(wanted) if isinstance(wanted, type) else None
    read = simple or read_as(wanted)
    node = (leaf(key) if simple else None) or find(key)
    if node is None:
        return None
    value = convert(node, read, key)
    return None if value is ABSENT else (value,)


def bind_as(find: Find, prefix: str, model: Any) -> Any:
    """Return what lies below a prefix as a type; nothing fills a class with its defaults.

    Raises:
        UnsupportedTypeError: There is no conversion to that type, or to that of a field.
        PropertyTypeError: Properties are missing or do not fit.
    """
    read = read_as(model)
    node = find(prefix)
    if node is None or (node.value == "" and not node.children):
        node = Node("")
    value = convert(node, read, prefix)
    assert value is not ABSENT  # noqa: S101 - of empty texts only
    return value
