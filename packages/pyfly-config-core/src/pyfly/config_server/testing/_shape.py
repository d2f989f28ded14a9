"""Checks that a store has the methods of the storage interface with compatible signatures."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final

from pyfly.config_server import storage
from pyfly.config_server.storage import ConfigBackend, ability

__all__ = ["ABILITIES", "abilities", "methods_of", "shape_faults"]

ABILITIES: Final[tuple[type[object], ...]] = tuple(
    getattr(storage, name) for name in storage.__all__ if name.startswith("Supports")
)
"""The Protocols of all abilities, in alphabetical order."""

_FLAGS: Final = ("default_is_base", "has_base_bundles")


def abilities(backend: object) -> set[type]:
    """Return the `Supports…` Protocols of the abilities that the store has."""
    return {kind for kind in ABILITIES if ability(backend, kind) is not None}


def methods_of(kind: type) -> dict[str, Callable[..., Any]]:
    """Return the methods of a Protocol."""
    return {
        name: value
        for name, value in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(value)
    }


def shape_faults(backend: object) -> list[str]:
    """Return a sentence for each fault in the methods of a store.

    No method of the store but `ability` is called.
    """
    if isinstance(backend, type):
        return [f"the fixture `backend` returns the class {backend.__name__}; return an object"]
    own = getattr(backend, "ability", None)
    if own is not None and (not callable(own) or inspect.iscoroutinefunction(own)):
        return ["`ability` must be a method that is not async: def ability(self, kind)"]
    faults = [*_method_faults(backend, backend, ConfigBackend), *_flag_faults(backend)]
    for kind in ABILITIES:
        provider: object = ability(backend, kind)
        if provider is not None:
            faults += _method_faults(backend, provider, kind)
    return faults


def _flag_faults(backend: object) -> Iterator[str]:
    for name in _FLAGS:
        value = getattr(backend, name, False)
        if not isinstance(value, bool):
            yield f"`{name}` must be True or False, an attribute or a property; it is {value!r}"


def _method_faults(backend: object, provider: object, kind: type) -> Iterator[str]:
    for name, wanted in methods_of(kind).items():
        found = getattr(provider, name, None)
        if not callable(found):
            where = "" if provider is backend else f" (what `ability({kind.__name__})` returns)"
            yield f"{type(provider).__name__}{where} has no method `{name}` of {kind.__name__}"
            continue
        yield from _kind_faults(name, found, wanted)
        yield from _signature_faults(name, found, wanted)


def _kind_faults(name: str, found: Callable[..., Any], wanted: Callable[..., Any]) -> Iterator[str]:
    """Yield a fault if one method is `async def` and the other is not."""
    plain = inspect.unwrap(found)
    if inspect.iscoroutinefunction(wanted):
        if not any(map(inspect.iscoroutinefunction, (found, plain))):
            yield f"`{name}` must be async: async def {name}{_signature(wanted)}"
    elif inspect.iscoroutinefunction(plain):
        yield (
            f"`{name}` is `async def` without `yield` and returns no iterator; use `yield`, or "
            "return an async iterator from a plain `def`"
        )
    elif inspect.isgeneratorfunction(plain):
        yield f"`{name}` must return an async iterator; write it with `async def` and `yield`"


def _signature_faults(
    name: str, found: Callable[..., Any], wanted: Callable[..., Any]
) -> Iterator[str]:
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # not written in Python
        return
    for arguments, named in _calls(wanted):
        try:
            signature.bind(*arguments, **named)
        except TypeError as error:
            yield (
                f"`{name}` must accept {_signature(wanted)}; it has "
                f"{_without_types(signature)}: {error}"
            )
            return


def _calls(wanted: Callable[..., Any]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield the ways to call a method: by position, by name, and without optional arguments."""
    parameters = [*inspect.signature(wanted).parameters.values()][1:]  # without self
    by_name = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    by_place = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    yield [p.name for p in by_place], {p.name: p.name for p in by_name}
    yield [], {p.name: p.name for p in parameters}
    required = [p for p in parameters if p.default is p.empty]
    yield (
        [p.name for p in by_place if p in required],
        {p.name: p.name for p in by_name if p in required},
    )


def _signature(function: Callable[..., Any]) -> str:
    return _without_types(inspect.signature(function))


def _without_types(signature: inspect.Signature) -> str:
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))
