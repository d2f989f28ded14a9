"""Types as values: aliases resolved, the fields of classes, durations and sizes.

Supports dataclasses and classes of attrs and msgspec, named tuples and typed dictionaries. attrs
and msgspec are not imported: a program that has such a class has imported them.
"""

import dataclasses
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from datetime import timedelta
from types import GenericAlias, UnionType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin

from pyfly.config_client.errors import UnsupportedTypeError
from pyfly.config_core.property_names import canonical, folded, quoted

_TYPING: Final = frozenset({"typing", "typing_extensions"})
_WRAPPERS: Final = frozenset({"Annotated", "Required", "NotRequired", "ReadOnly", "Final"})
_MOST_NAMES: Final = 64
"""The limit of nested aliases; a longer chain refers to itself."""


def is_type(value: object) -> bool:
    """True if a value is a type, or an object of `typing` such as `int | None`.

    A text is never a type, although it could be a forward reference.
    """
    return isinstance(value, type | UnionType | GenericAlias) or type(value).__module__ in _TYPING


def resolve_alias(wanted: Any) -> Any:
    """Return the type behind an alias, a `NewType` or `Annotated`.

    Raises:
        UnsupportedTypeError: It is a forward reference that cannot be resolved.
    """
    for _ in range(_MOST_NAMES):
        origin = get_origin(wanted)
        if repr(origin).rpartition(".")[2] in _WRAPPERS or origin is typing.Annotated:
            wanted = get_args(wanted)[0]
        elif hasattr(wanted, "__supertype__"):  # NewType
            wanted = wanted.__supertype__
        elif _is_alias(wanted) or _is_alias(origin):
            wanted = _aliased(wanted, origin)
        elif isinstance(wanted, str | typing.ForwardRef):
            wanted = _resolved(wanted)
        else:
            return wanted
    raise UnsupportedTypeError(f"the type {type_name(wanted)} refers to itself")


def _is_alias(wanted: object) -> bool:
    """True for an alias made by `type X = …` (Python 3.12), or by its backport."""
    return type(wanted).__name__ == "TypeAliasType" and type(wanted).__module__ in _TYPING


def _aliased(wanted: Any, origin: Any) -> Any:
    if _is_alias(wanted):
        value = wanted.__value__
        return _resolved(value, wanted.__module__) if isinstance(value, str) else value
    return substituted(
        origin.__value__, dict(zip(origin.__type_params__, get_args(wanted), strict=False))
    )


def _resolved(reference: str | typing.ForwardRef, module: str = "builtins") -> Any:
    text = reference if isinstance(reference, str) else reference.__forward_arg__
    holder = type("Holder", (), {"__annotations__": {"wanted": text}, "__module__": module})
    try:
        return typing.get_type_hints(holder, include_extras=True)["wanted"]
    except (NameError, SyntaxError, TypeError, AttributeError):
        raise UnsupportedTypeError(
            f"the forward reference {text!r} cannot be resolved here; pass the class itself"
        ) from None


def field_types(model: Any) -> dict[str, Any]:
    """Return the types of a class's fields by their names, forward references resolved.

    A parameter of a generic class is replaced by its argument, or else by its bound or `Any`.

    Raises:
        UnsupportedTypeError: A forward reference cannot be resolved.
    """
    origin = get_origin(model) or model
    try:
        hints = typing.get_type_hints(origin, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise UnsupportedTypeError(
            f"the types of {type_name(origin)} cannot be resolved ({error}); define them in the "
            "module of the class, at its top level"
        ) from None
    declared = getattr(origin, "__parameters__", ())
    given = get_args(model) or [one.__bound__ or Any for one in declared]
    parameters = dict(zip(declared, given, strict=False))
    if not parameters:
        return hints
    return {name: substituted(hint, parameters) for name, hint in hints.items()}


def substituted(hint: Any, parameters: Mapping[Any, Any]) -> Any:
    """Return a type with its parameters replaced."""
    if isinstance(hint, TypeVar):
        return parameters.get(hint, hint)
    inner = getattr(hint, "__parameters__", ())
    return hint[tuple(parameters.get(one, one) for one in inner)] if inner else hint


def union_members(wanted: Any) -> tuple[Any, ...] | None:
    """Return the members of a union; `None` if it is no union."""
    return get_args(wanted) if get_origin(wanted) in {Union, UnionType} else None


def without_none(wanted: Any) -> Any:
    """Return `X` for `X | None`, and otherwise the type itself."""
    members = [one for one in union_members(resolve_alias(wanted)) or () if one is not type(None)]
    return resolve_alias(members[0]) if len(members) == 1 else resolve_alias(wanted)


def type_name(wanted: Any) -> str:
    """Return the name of a type for a message."""
    return str(getattr(wanted, "__name__", None) or cast("object", wanted))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Field:
    """One field of a class."""

    argument: str
    """The name of the keyword argument."""
    shown: str
    """Its name in messages."""
    names: tuple[str, ...]
    """The canonical names of properties that fill it, in order of preference."""
    wanted: Any
    required: bool
    takes_raw: bool = False
    """The class converts the value by itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Model:
    """A class with fields."""

    name: str
    fields: tuple[Field, ...]
    make: Callable[[Mapping[str, Any]], Any]
    """Makes an instance; raises the errors of the class."""
    positional: bool = False
    """A list can fill it, too."""

    @property
    def names(self) -> tuple[str, ...]:
        """The first name of each field."""
        return tuple(one.names[0] for one in self.fields)


def model_of(wanted: Any) -> Model | None:
    """Return the fields of a class; `None` if it is not a class with fields.

    Raises:
        UnsupportedTypeError: The type of a field cannot be resolved.
    """
    origin = get_origin(wanted) or wanted
    if not isinstance(origin, type):
        return None
    found = next((fields for test, fields in _KINDS if test(origin)), None)
    if found is None:
        return None
    return Model(
        name=origin.__name__,
        fields=tuple(found(origin, field_types(wanted))),
        make=_checked(origin) if _is_msgspec(origin) else lambda arguments: origin(**arguments),
        positional=_is_named_tuple(origin),
    )


def canonical_names(*spellings: str) -> tuple[str, ...]:
    """Return the canonical names of properties for the spellings of a field.

    >>> canonical_names("pool_size", "poolSize")
    ('poolsize', 'pool_size', 'poolSize')
    """
    found = ((folded(one) if "." not in one else canonical(one), quoted(one)) for one in spellings)
    return tuple(dict.fromkeys(name for pair in found for name in pair))


def _dataclass_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    for one in dataclasses.fields(wanted):
        if one.init:
            aliases = _aliases(wanted, one.name)
            yield Field(
                argument=(*aliases, one.name)[0],
                shown=one.name,
                names=canonical_names(*aliases, one.name),
                wanted=hints[one.name],
                required=one.default is MISSING and one.default_factory is MISSING,
            )


def _aliases(wanted: Any, name: str) -> list[str]:
    """Return the aliases of a field of a pydantic dataclass."""
    info = getattr(wanted, "__pydantic_fields__", {}).get(name)
    if info is None:
        return []
    alias = info.alias if info.validation_alias is None else info.validation_alias
    return [one for one in getattr(alias, "choices", [alias]) if isinstance(one, str)]


def _attrs_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    nothing = sys.modules["attr"].NOTHING
    for one in wanted.__attrs_attrs__:
        if one.init:
            yield Field(
                argument=one.alias,
                shown=one.name,
                names=canonical_names(one.name, one.alias),
                wanted=hints.get(one.name, Any),
                required=one.default is nothing,
                takes_raw=one.converter is not None,
            )


def _msgspec_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    for one in sys.modules["msgspec"].structs.fields(wanted):
        yield Field(
            argument=one.name,
            shown=one.name,
            names=canonical_names(one.name, one.encode_name),
            wanted=hints[one.name],
            required=one.required,
        )


def _checked(wanted: Any) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that makes a msgspec structure and checks the limits of its fields."""

    def make(arguments: Mapping[str, Any]) -> Any:
        msgspec = sys.modules["msgspec"]
        for one in msgspec.structs.fields(wanted):
            if one.name in arguments:
                _check_limits(msgspec, arguments[one.name], one.type)
        return wanted(**arguments)

    return make


def _check_limits(msgspec: Any, value: object, wanted: Any) -> None:
    try:
        msgspec.convert(msgspec.to_builtins(value), wanted)
    except msgspec.ValidationError:
        raise
    except TypeError:
        pass  # msgspec does not support this type, so it has no limits


def _named_tuple_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    for name in wanted._fields:
        yield _plain_field(name, hints.get(name, Any), required=name not in wanted._field_defaults)


def _typed_dict_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    for name, hint in hints.items():
        yield _plain_field(name, hint, required=name in wanted.__required_keys__)


def _plain_field(name: str, wanted: Any, *, required: bool) -> Field:
    names = canonical_names(name)
    return Field(argument=name, shown=name, names=names, wanted=wanted, required=required)


def _is_msgspec(wanted: type) -> bool:
    return hasattr(wanted, "__struct_fields__")


def _is_named_tuple(wanted: type) -> bool:
    return hasattr(wanted, "_fields") and issubclass(wanted, tuple)


_KINDS: tuple[
    tuple[Callable[[type], bool], Callable[[Any, dict[str, Any]], Iterator[Field]]], ...
] = (
    (dataclasses.is_dataclass, _dataclass_fields),
    (lambda wanted: hasattr(wanted, "__attrs_attrs__"), _attrs_fields),
    (_is_msgspec, _msgspec_fields),
    (_is_named_tuple, _named_tuple_fields),
    (lambda wanted: hasattr(wanted, "__required_keys__"), _typed_dict_fields),
)


# --- durations and sizes --------------------------------------------------------------

_DURATION: Final = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d)", re.IGNORECASE)
_ISO: Final = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<days>[+-]?\d+)D)?"
    r"(?:T(?:(?P<hours>[+-]?\d+)H)?(?:(?P<minutes>[+-]?\d+)M)?"
    r"(?:(?P<seconds>[+-]?\d+(?:\.\d+)?)S)?)?",
    re.IGNORECASE,
)
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE: Final = re.compile(r"([+-]?\d+)\s*(|B|K|KB|KIB|M|MB|MIB|G|GB|GIB|T|TB|TIB)", re.IGNORECASE)
_POWERS: Final = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_duration(text: str) -> timedelta:
    """Return the duration of a text such as `500ms`, `30s`, `1.5h` or `PT30S` (ISO 8601).

    >>> parse_duration("90s") == parse_duration("PT1M30S") == timedelta(seconds=90)
    True

    Raises:
        ValueError: It is not a duration. A number without a unit is rejected, because Spring
            reads it as milliseconds, and most other programs as seconds.
    """
    if found := _DURATION.fullmatch(text.strip()):
        return timedelta(seconds=float(found[1]) * _SECONDS[found[2].lower()])
    iso = _ISO.fullmatch(text.strip())
    parts = {} if iso is None else {k: v for k, v in iso.groupdict().items() if v and k != "sign"}
    if iso is None or not parts:
        raise ValueError("not a duration with a unit, such as 500ms, 30s, 5m or PT30S")
    length = timedelta(**{name: float(number) for name, number in parts.items()})
    return -length if iso["sign"] == "-" else length


class DataSize(int):
    """A number of bytes, written as `512`, `10KB` or `4MB`; the units are powers of 1024.

    >>> DataSize.parse("4MB")
    4194304
    """

    @classmethod
    def parse(cls, text: str) -> "DataSize":
        """Return the size of a text such as `4MB`.

        Raises:
            ValueError: It is not a size.
        """
        found = _SIZE.fullmatch(text.strip())
        if found is None:
            raise ValueError("not a size, such as 512, 10KB or 4MB")
        return cls(int(found[1]) * 1024 ** _POWERS[found[2][:1].upper()])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """Return the schema that lets pydantic validate it, too."""
        from pydantic_core import core_schema  # noqa: PLC0415 - pydantic calls this

        return core_schema.no_info_plain_validator_function(lambda value: cls.parse(str(value)))
