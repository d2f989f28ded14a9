"""Types as values: aliases resolved, and the fields of classes.

Supports dataclasses, pydantic models, classes of attrs and msgspec, named tuples and typed
dictionaries. No library is imported: a program that has such a class has imported it.
"""

import dataclasses
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from types import GenericAlias, UnionType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, Union, cast, get_args, get_origin

from pyfly.config_client.errors import UnsupportedTypeError
from pyfly.config_core.property_names import canonical, folded, quoted

_TYPING: Final = frozenset({"typing", "typing_extensions"})
_WRAPPERS: Final = frozenset({"Annotated", "Required", "NotRequired", "ReadOnly", "Final"})
_OWN_TEXT: Final = {"value_error", "assertion_error"}
"""Types of errors of pydantic whose text the program wrote; it may show the value."""
_SHOWS_VALUE: Final = "import_error"
"""A type of errors of pydantic whose text has a part of the value."""
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
        raise _unresolved(origin, f" ({error})") from None
    declared = getattr(origin, "__parameters__", ())
    given = get_args(model) or [one.__bound__ or Any for one in declared]
    parameters = dict(zip(declared, given, strict=False))
    if not parameters:
        return hints
    return {name: substituted(hint, parameters) for name, hint in hints.items()}


def _unresolved(model: Any, why: str = "") -> UnsupportedTypeError:
    return UnsupportedTypeError(
        f"the types of {type_name(model)} cannot be resolved{why}; define them in the module of "
        "the class, at its top level"
    )


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


class Option(NamedTuple):
    """One of the ways to fill a field."""

    argument: str
    """The name of the keyword argument."""
    names: tuple[str, ...]
    """The canonical names of properties, in order of preference."""
    is_part: bool = False
    """The field is a part of the value; pydantic extracts it."""


class Field(NamedTuple):
    """One field of a class."""

    name: str
    options: tuple[Option, ...]
    """In order of preference."""
    wanted: Any
    required: bool
    takes_raw: bool = False
    """The class converts the value by itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Model:
    """A class with fields."""

    name: str
    fields: tuple[Field, ...]
    make: Callable[[Any], Any]
    """Makes an instance of a mapping; raises the errors of the class."""
    positional: bool = False
    """A list can fill it, too."""
    validates: bool = False
    """A model of pydantic, whose validators may fill fields, and which reports missing ones."""
    is_root: bool = False
    """A model of pydantic with one field, whose value stands in its place."""
    takes_others: bool = False
    """Properties without a field are passed to it, too."""


def is_model(wanted: Any) -> bool:
    """True for a class with fields."""
    return _is_pydantic(wanted) or _fields_of(get_origin(wanted) or wanted) is not None


def model_of(wanted: Any) -> Model | None:
    """Return the fields of a class; `None` if it is not a class with fields.

    Raises:
        UnsupportedTypeError: The type of a field cannot be resolved.
    """
    if _is_pydantic(wanted):
        return Model(
            name=wanted.__name__,
            fields=tuple(pydantic_fields(wanted)),
            make=wanted.model_validate,
            validates=True,
            is_root=is_root_model(wanted),
            takes_others=wanted.model_config.get("extra") in {"allow", "forbid"},
        )
    origin = get_origin(wanted) or wanted
    found = _fields_of(origin)
    if found is None:
        return None
    return Model(
        name=origin.__name__,
        fields=tuple(found(origin, field_types(wanted))),
        make=_checked(origin) if _is_msgspec(origin) else lambda arguments: origin(**arguments),
        positional=_is_named_tuple(origin),
    )


def _is_pydantic(wanted: Any) -> bool:
    return hasattr(wanted, "__pydantic_root_model__")


def is_root_model(wanted: Any) -> bool:
    """True for a model of pydantic with one field, whose value stands in its place."""
    return bool(getattr(wanted, "__pydantic_root_model__", False))


def rejections(model: Model, error: Exception) -> Iterator[tuple[str, str]]:
    """Yield the places and the texts of the faults that a class has found; shows no value."""
    if not model.validates or not isinstance(error, sys.modules["pydantic_core"].ValidationError):
        yield "", f"is rejected by {model.name} ({type(error).__name__})"
        return
    for row in cast("Any", error).errors(include_input=False, include_url=False):
        parts = (f"[{one}]" if isinstance(one, int) else f".{one}" for one in row["loc"])
        yield "".join(parts).removeprefix("."), _reason(row)


def _reason(row: Mapping[str, Any]) -> str:
    """Return the text of an error of pydantic, without the value."""
    kind = row["type"]
    if kind == "missing":
        return "is missing"
    if kind == "union_tag_invalid":
        return "is not valid: {discriminator} is not one of {expected_tags}".format(**row["ctx"])
    if kind in _OWN_TEXT:
        return "is rejected by the model"
    known = get_args(sys.modules["pydantic_core.core_schema"].ErrorType)
    if kind == _SHOWS_VALUE or kind not in known:  # the program wrote the text of other types
        return f"is rejected by the model ({kind})"
    return f"is not valid: {row['msg']}"


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
            info = getattr(wanted, "__pydantic_fields__", {}).get(one.name)
            aliases = [alias for alias in _aliases(info) if isinstance(alias, str)]
            names = canonical_names(*aliases, one.name)
            required = one.default is MISSING and one.default_factory is MISSING
            option = Option((*aliases, one.name)[0], names)
            yield Field(one.name, (option,), hints[one.name], required)


def _aliases(info: Any) -> list[Any]:
    """Return the aliases of a field of pydantic, which may be names or paths."""
    alias = getattr(info, "validation_alias", None) or getattr(info, "alias", None)
    return [] if alias is None else getattr(alias, "choices", [alias])


def pydantic_fields(model: Any) -> Iterator[Field]:
    """Yield the fields of a model or of a settings class.

    Raises:
        UnsupportedTypeError: A forward reference cannot be resolved, or it is `BaseModel` itself.
    """
    if model is sys.modules["pydantic"].BaseModel:
        raise UnsupportedTypeError("there is no conversion to BaseModel; pass a class of your own")
    if model.model_rebuild(raise_errors=False) is False:  # its types are texts until then
        raise _unresolved(model)
    for name, info in cast("Mapping[str, Any]", model.model_fields).items():
        # Before 2.13, pydantic leaves the notes of a root model in its annotation.
        notes = (*info.metadata, *getattr(info.annotation, "__metadata__", ()))
        raw, required = any(map(_comes_first, notes)), info.is_required()
        yield Field(name, tuple(_options(name, info)), info.annotation, required, raw)


def _options(name: str, info: Any) -> Iterator[Option]:
    """Yield the names that a model accepts for a field, and then the name of the field."""
    choices = _aliases(info) or [name]
    for choice in choices:
        path = getattr(choice, "path", None)
        taken = choice if path is None else path[0]
        yield Option(taken, canonical_names(taken), is_part=path is not None)
    texts = [choice for choice in choices if isinstance(choice, str)]
    if texts and name not in texts:
        yield Option(texts[0], canonical_names(name))


def _comes_first(note: object) -> bool:
    """True for an annotation that reads the value before it is converted."""
    return hasattr(note, "__get_pydantic_core_schema__") and type(note).__name__ != "AfterValidator"


def _attrs_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    nothing = sys.modules["attr"].NOTHING
    for one in wanted.__attrs_attrs__:
        if one.init:
            option = Option(one.alias, canonical_names(one.name, one.alias))
            hint, raw = hints.get(one.name, Any), one.converter is not None
            yield Field(one.name, (option,), hint, one.default is nothing, raw)


def _msgspec_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    for one in sys.modules["msgspec"].structs.fields(wanted):
        option = Option(one.name, canonical_names(one.name, one.encode_name))
        yield Field(one.name, (option,), hints[one.name], one.required)


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
        option = Option(name, canonical_names(name))
        required = name not in wanted._field_defaults
        yield Field(name, (option,), hints.get(name, Any), required)


def _typed_dict_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    for name, hint in hints.items():
        option = Option(name, canonical_names(name))
        yield Field(name, (option,), hint, name in wanted.__required_keys__)


def _is_msgspec(wanted: type) -> bool:
    return hasattr(wanted, "__struct_fields__")


def _is_named_tuple(wanted: type) -> bool:
    return hasattr(wanted, "_fields") and issubclass(wanted, tuple)


_Fields: TypeAlias = Callable[[Any, dict[str, Any]], Iterator[Field]]
"""Yields the fields of a class, whose types are given by their names."""

_KINDS: Final[tuple[tuple[Callable[[type], bool], _Fields], ...]] = (
    (dataclasses.is_dataclass, _dataclass_fields),
    (lambda wanted: hasattr(wanted, "__attrs_attrs__"), _attrs_fields),
    (_is_msgspec, _msgspec_fields),
    (_is_named_tuple, _named_tuple_fields),
    (lambda wanted: hasattr(wanted, "__required_keys__"), _typed_dict_fields),
)


def _fields_of(wanted: Any) -> _Fields | None:
    if not isinstance(wanted, type):
        return None
    return next((fields for test, fields in _KINDS if test(wanted)), None)
