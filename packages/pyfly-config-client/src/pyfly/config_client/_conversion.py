"""Conversion of properties to types; `get`, `bind` and pydantic-settings all use it.

A type is turned into a reader, which fails at once if the type is not supported. The reader then
converts the nodes that the type has fields for, and collects all their faults.
"""

from collections import UserString, defaultdict
from collections.abc import Callable, Iterable, Mapping, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pyfly.config_client._merging import as_text
from pyfly.config_client._scalars import (
    ABSENT,
    MISMATCH,
    SIMPLE,
    DataSize,
    Make,
    Reader,
    fault,
    guarded,
    literal_reader,
    scalar,
    scalar_reader,
)
from pyfly.config_client._sections import (
    Kind,
    Node,
    NodeValue,
    fixed_reader,
    list_reader,
    mapping_reader,
    model_reader,
    plain,
    read_raw,
)
from pyfly.config_client._types import (
    is_model,
    is_type,
    model_of,
    resolve_alias,
    type_name,
    union_members,
)
from pyfly.config_client.errors import PropertyTypeError, UnsupportedTypeError

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


class ReaderFactory:
    """Makes the readers of types. Each type has one reader, so that it may contain itself.

    Args:
        lenient: An unsupported type is not an error; its values are not converted, and pydantic
            validates them.
    """

    def __init__(self, *, lenient: bool = False) -> None:
        self._lenient = lenient
        self._known: list[tuple[Any, Reader]] = []

    def reader(self, wanted: Any) -> Reader:
        """Return the reader of a type.

        Raises:
            UnsupportedTypeError: There is no conversion to that type.
        """
        for known, reader in self._known:
            if known is wanted:
                return reader
        place = len(self._known)
        self._known.append((wanted, self.later(wanted)))  # until the other one is made
        reader = self._made(wanted)
        self._known[place] = wanted, reader
        return reader

    def later(self, wanted: Any) -> Reader:
        """Return a reader of a type, which is made when it is first used."""

        def read(node: Node, path: str, faults: list[str]) -> Any:
            return self.reader(wanted)(node, path, faults)

        return read

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
        model = model_of(wanted)
        if model is None:
            return None
        if not model.validates:
            return model_reader(model, [self.reader(one.wanted) for one in model.fields])
        factory = self if self._lenient else ReaderFactory(lenient=True)
        return model_reader(model, [factory.later(one.wanted) for one in model.fields])

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
            return _adapter_reader(wanted)
        if (make := scalar(wanted)) is not None:
            return scalar_reader(make, type_name(wanted))
        if self._lenient:
            return read_raw
        raise UnsupportedTypeError(
            f"there is no conversion to {type_name(wanted)}; use one of the documented types, or a "
            "class whose constructor takes one text"
        )


def _adapter_reader(wanted: Any) -> Reader:
    """Return the reader of a type of pydantic, such as `SecretStr` or `HttpUrl`."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - such a type has imported it

    adapter: Any = TypeAdapter(wanted)

    def read(node: Node, path: str, faults: list[str]) -> Any:
        value = plain(node)
        for form in (value, as_text(value)) if isinstance(value, bool | int | float) else (value,):
            try:
                return adapter.validate_python(form)
            except MISMATCH:  # includes pydantic's ValidationError, which shows values
                continue
        return ABSENT if value == "" else fault(faults, path, f"is not {type_name(wanted)}")

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
    if found is Any or origin is object or is_model(found) or _is_container(origin, Mapping):
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


@cache
def _simple_reader(wanted: type) -> Reader:
    return scalar_reader(SIMPLE[wanted], type_name(wanted))


def get_as(
    find: Find, peek: Callable[[str], NodeValue], key: str, wanted: Any
) -> tuple[Any] | None:
    """Return the value of a key, converted, in a tuple; `None` if it is absent or empty.

    `find` returns the node of a name with all names below it, `peek` only its value, which is
    faster.

    Raises:
        UnsupportedTypeError: There is no conversion to that type.
        PropertyTypeError: It cannot be converted.
    """
    is_simple = isinstance(wanted, type) and wanted in SIMPLE
    read = _simple_reader(wanted) if is_simple else read_as(wanted)
    value = peek(key) if is_simple else None
    node = find(key) if value is None else Node(key, value=value)
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
    if value is ABSENT:
        faults: list[str] = []
        fault(faults, prefix, "is empty")
        raise PropertyTypeError(faults[0])
    return value
