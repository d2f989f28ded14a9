"""Properties for pydantic's models: names as the fields spell them, values as pydantic reads them.

pydantic itself is not imported: whoever has a model has it.
"""

import types
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Union, cast, get_args, get_origin

from pyfly.config_client._result.names import relaxed
from pyfly.config_client._result.quantities import parse_duration
from pyfly.config_core import JsonValue


def validate(model: Any, node: JsonValue) -> tuple[Any, list[tuple[str, str]]]:
    """Return the model's instance, or what is wrong: places and reasons, without values."""
    try:
        return model.model_validate(prepare(node, model)), []
    except ValueError as error:  # pydantic's ValidationError is one; it shows values
        listed = getattr(error, "errors", None)
        if listed is None:
            return None, [("", f"is refused by {model.__name__}")]
        rows = listed(include_input=False, include_url=False, include_context=False)
        return None, [(_place(row["loc"]), _reason(row)) for row in rows]


def prepare(node: object, wanted: Any) -> object:
    """Return a tree with the names of the model's fields, and its durations and lists read."""
    inner = _without_none(wanted)
    declared = getattr(inner, "model_fields", None)
    if isinstance(declared, Mapping) and isinstance(node, dict):
        return _fields(cast("dict[str, object]", node), cast("Mapping[str, Any]", declared))
    origin, arguments = get_origin(inner), get_args(inner)
    below = arguments[-1] if origin is dict and arguments else (arguments or (Any,))[0]
    item = node
    if isinstance(node, Mapping) and origin is dict:
        rows = cast("Mapping[str, object]", node)  # of JSON
        return {key: prepare(value, below) for key, value in rows.items()}
    if origin in {list, set, frozenset, tuple}:
        if isinstance(node, str):
            node = [one.strip() for one in node.split(",")] if node.strip() else []
        if isinstance(node, list):
            return [prepare(item, below) for item in cast("list[object]", node)]
    return _duration(node) if inner is timedelta and isinstance(node, str) else item


def _duration(text: str) -> object:
    try:
        return parse_duration(text)
    except ValueError:
        return text  # for pydantic to refuse, or to read in another way


def names_of(model: Any) -> set[str]:
    """Return the names under which a model takes its fields."""
    return {_taken_as(name, one) for name, one in model.model_fields.items()}


def _taken_as(name: str, declared: Any) -> str:
    alias = declared.validation_alias
    return alias if isinstance(alias, str) else declared.alias or name


def _fields(node: dict[str, object], declared: Mapping[str, Any]) -> dict[str, object]:
    accepted: dict[str, tuple[str, Any]] = {}
    for name, one in declared.items():
        taken = _taken_as(name, one)
        accepted[relaxed(name)] = accepted[relaxed(taken)] = (taken, one.annotation)
    renamed: dict[str, object] = {}
    for key, value in node.items():
        name, annotation = accepted.get(relaxed(key), (key, Any))
        renamed[name] = prepare(value, annotation)
    return renamed


def _without_none(wanted: Any) -> Any:
    if get_origin(wanted) in {Union, types.UnionType}:
        members = [one for one in get_args(wanted) if one is not type(None)]
        return members[0] if len(members) == 1 else wanted
    return wanted


def _place(location: tuple[object, ...]) -> str:
    text = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in location)
    return text.removeprefix(".")


def _reason(row: Mapping[str, Any]) -> str:
    if row["type"] in {"value_error", "assertion_error"}:
        return "is refused by the model"  # the text is the program's own and may show the value
    return "is missing" if row["type"] == "missing" else f"is not valid: {row['msg']}"
