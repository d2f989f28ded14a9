"""Classes with fields: dataclasses, attrs, msgspec, named tuples and typed dictionaries.

attrs and msgspec are not imported: whoever has such a class has loaded them.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, get_origin

from pyfly.config_client._result.forms import hints_of
from pyfly.config_client._result.names import canonical, folded, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a class."""

    argument: str
    """What the class is given it as."""
    shown: str
    """What a message calls it."""
    names: tuple[str, ...]
    """Canonical names of properties that fill it, the first one first."""
    wanted: Any
    required: bool
    as_it_is: bool = False
    """The class converts it by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A class with fields."""

    name: str
    fields: tuple[Field, ...]
    make: Callable[[Mapping[str, Any]], Any]
    """Raises what the class raises."""
    positional: bool = False
    """A list fills it, too."""

    @property
    def names(self) -> tuple[str, ...]:
        """The first name of each field."""
        return tuple(one.names[0] for one in self.fields)


def model_of(wanted: Any) -> Model | None:
    """Return the fields of a class, or `None` if it is none that has fields.

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
        fields=tuple(found(origin, hints_of(wanted))),
        make=_checked(origin) if _is_msgspec(origin) else lambda arguments: origin(**arguments),
        positional=_is_named_tuple(origin),
    )


def names_of(*spellings: str) -> tuple[str, ...]:
    """Return the canonical names that spellings of a field may have as properties.

    >>> names_of("pool_size", "poolSize")
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
                names=names_of(*aliases, one.name),
                wanted=hints[one.name],
                required=one.default is MISSING and one.default_factory is MISSING,
            )


def _aliases(wanted: Any, name: str) -> list[str]:
    """Return under which other names a dataclass of pydantic takes a field."""
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
                names=names_of(one.name, one.alias),
                wanted=hints.get(one.name, Any),
                required=one.default is nothing,
                as_it_is=one.converter is not None,
            )


def _msgspec_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    for one in sys.modules["msgspec"].structs.fields(wanted):
        yield Field(
            argument=one.name,
            shown=one.name,
            names=names_of(one.name, one.encode_name),
            wanted=hints[one.name],
            required=one.required,
        )


def _checked(wanted: Any) -> Callable[[Mapping[str, Any]], Any]:
    """Return what makes a structure of msgspec and applies the limits of its fields."""

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
        pass  # msgspec knows nothing of this type, and so of no limits


def _named_tuple_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    for name in wanted._fields:
        yield Field(
            argument=name,
            shown=name,
            names=names_of(name),
            wanted=hints.get(name, Any),
            required=name not in wanted._field_defaults,
        )


def _typed_dict_fields(wanted: Any, hints: dict[str, Any]) -> Iterator[Field]:
    for name, hint in hints.items():
        yield Field(
            argument=name,
            shown=name,
            names=names_of(name),
            wanted=hint,
            required=name in wanted.__required_keys__,
        )


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
