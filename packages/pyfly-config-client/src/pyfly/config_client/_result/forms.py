"""Types as values: which objects are types, and what is behind their names."""

import typing
from collections.abc import Mapping
from types import GenericAlias, UnionType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin

from pyfly.config_client.errors import UnsupportedTypeError

_TYPING: Final = frozenset({"typing", "typing_extensions"})
_WRAPPERS: Final = frozenset({"Annotated", "Required", "NotRequired", "ReadOnly", "Final"})
_MOST_NAMES: Final = 64
"""How many aliases may stand for each other; a longer chain leads back to itself."""


def is_form(value: object) -> bool:
    """True if a value is a type, or what `typing` makes for one, such as `int | None`.

    A text is never a type here, although it might be a forward reference.
    """
    return isinstance(value, type | UnionType | GenericAlias) or type(value).__module__ in _TYPING


def bare(wanted: Any) -> Any:
    """Return the type that an alias, a `NewType` or a type with notes stands for.

    Raises:
        UnsupportedTypeError: It is a forward reference that cannot be resolved.
    """
    for _ in range(_MOST_NAMES):
        origin = get_origin(wanted)
        if getattr(origin, "_name", None) in _WRAPPERS or origin is typing.Annotated:
            wanted = get_args(wanted)[0]
        elif hasattr(wanted, "__supertype__"):  # NewType
            wanted = wanted.__supertype__
        elif _is_alias(wanted) or _is_alias(origin):
            wanted = _aliased(wanted, origin)
        elif isinstance(wanted, str | typing.ForwardRef):
            wanted = _resolved(wanted)
        else:
            return wanted
    raise UnsupportedTypeError(f"the type {named(wanted)} is defined by itself")


def _is_alias(wanted: object) -> bool:
    """True for what `type X = …` makes from Python 3.12 on, and for its backport."""
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


def hints_of(model: Any) -> dict[str, Any]:
    """Return the types of a class's fields by their names, forward references resolved.

    A parameter of a generic class is replaced by what stands in the brackets, or by anything.

    Raises:
        UnsupportedTypeError: A forward reference cannot be resolved.
    """
    origin = get_origin(model) or model
    try:
        hints = typing.get_type_hints(origin, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise UnsupportedTypeError(
            f"the types of {named(origin)} cannot be resolved ({error}); define them where the "
            "class is defined, at the top of a module"
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


def members_of(wanted: Any) -> tuple[Any, ...] | None:
    """Return the members of a union, or `None` where it is no union."""
    return get_args(wanted) if get_origin(wanted) in {Union, UnionType} else None


def without_none(wanted: Any) -> Any:
    """Return the type that is optional, or the type itself."""
    members = [one for one in members_of(bare(wanted)) or () if one is not type(None)]
    return bare(members[0]) if len(members) == 1 else bare(wanted)


def named(wanted: Any) -> str:
    """Return a type's name for a message."""
    return str(getattr(wanted, "__name__", None) or cast("object", wanted))
