"""The table of conversions, through every door: each gives the same value for a type.

`binding_table.json` holds rows of sources, a key and a type. Under `spring` stands what Spring
Boot's Binder makes of them, recorded from a run (`tests-integration/spring/test_binder.py` runs
it again); where this client differs, `pyfly` and the reason `why` stand beside it.
"""

import enum
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from pydantic_settings import BaseSettings

from pyfly.config_client import (
    DataSize,
    MissingPropertyError,
    Properties,
    PropertyTypeError,
)
from pyfly.config_client._properties import ConfigMetadata, read_properties
from pyfly.config_client.settings import from_config_server
from pyfly.config_core import PropertySource

Row = dict[str, Any]
ROWS: list[Row] = json.loads(
    Path(__file__).with_name("binding_table.json").read_text(encoding="utf-8")
)
MISSING = "nothing was bound"


class Level(enum.Enum):
    LOW = "l"
    VERY_HIGH = "h"


@dataclass
class Pool:
    size: int | None = None
    wait: timedelta | None = None


@dataclass
class Database:
    url: str | None = None
    pool_size: int | None = None
    pool: Pool | None = None
    hosts: list[str] | None = None
    replicas: list[Pool] | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])


TYPES: dict[str, Any] = {
    "any": Any,
    "bool": bool,
    "Database": Database,
    "date": date,
    "datetime": datetime,
    "decimal": Decimal,
    "duration": timedelta,
    "float": float,
    "int": int,
    "Level": Level,
    "list": list,
    "map": dict,
    "path": Path,
    "Pool": Pool,
    "set": set,
    "size": DataSize,
    "str": str,
    "time": time,
    "uuid": UUID,
}


def named(row: Row) -> Any:
    return eval(row["type"], dict(TYPES))  # a name of the table, such as map[str, int]


def read(row: Row) -> Properties:
    environ = row.get("environ", {})
    sources = [
        PropertySource(name=f"source {number}", source=source)
        for number, source in enumerate(row["sources"])
    ]
    properties = read_properties(sources, ConfigMetadata(), environ=environ)
    return properties.merge_into(environ=environ) if environ else properties


def duration(length: timedelta) -> str:
    """Return a duration as Java writes it."""
    micros = length // timedelta(microseconds=1)
    sign = "-" if micros < 0 else ""
    seconds, micros = divmod(abs(micros), 1_000_000)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    fraction = f".{micros:06d}".rstrip("0").rstrip(".")
    parts = [(f"{hours}", "H", hours), (f"{minutes}", "M", minutes)]
    parts.append((f"{seconds}{fraction}", "S", seconds or micros or not (hours or minutes)))
    return "PT" + "".join(f"{sign}{text}{unit}" for text, unit, shown in parts if shown)


def shown(value: Any) -> Any:
    """Return a value as the table writes it."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else as_key(key): shown(v) for key, v in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, set):
        return sorted(shown(item) for item in value)
    if is_dataclass(value):
        return {one.name: shown(getattr(value, one.name)) for one in fields(value)}
    return single(value)


def single(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, datetime | time):
        return value.isoformat().removesuffix(":00")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("nan", "NaN")
    if value is None or isinstance(value, bool | int | float):
        return int(value) if type(value) is DataSize else value
    return str(value)


def as_key(key: Any) -> str:
    return str(single(key)).lower() if isinstance(key, bool) else str(single(key))


def expected(row: Row) -> Any:
    """Return the value, `MISSING`, or the type of the error."""
    outcome = row.get("pyfly", row["spring"])
    if "value" in outcome:
        value = outcome["value"]
        return sorted(value) if row["type"].startswith("set") else value
    return MISSING if "missing" in outcome else PropertyTypeError


def described(row: Row) -> str:
    return f"{row['about']}: {row['type']} {row['sources']}"[:120]


table = pytest.mark.parametrize(
    "row", ROWS, ids=[f"{number} {row['about']}" for number, row in enumerate(ROWS)]
)


def test_the_table_is_large_and_says_where_it_differs_from_spring() -> None:
    assert len(ROWS) > 250
    for row in ROWS:
        assert ("pyfly" in row) == ("why" in row)
        assert row.get("pyfly") != row["spring"]


@table
def test_get_converts_as_the_table_says(row: Row) -> None:
    try:
        found = shown(read(row).get(row["key"], named(row)))
    except MissingPropertyError:
        found = MISSING
    except PropertyTypeError:
        found = PropertyTypeError
    assert found == expected(row)


def as_dataclass(name: str, wanted: Any) -> Callable[[Properties], Any]:
    model = make_dataclass("Holder", [(name, wanted, field(default=MISSING))])
    return lambda properties: getattr(properties.bind("", model), name)


def as_pydantic(name: str, wanted: Any) -> Callable[[Properties], Any]:
    fields: Any = {name: (wanted, MISSING)}
    model = pydantic.create_model("Holder", **fields)
    return lambda properties: getattr(properties.bind("", model), name)


def as_attrs(name: str, wanted: Any) -> Callable[[Properties], Any]:
    model = attrs.make_class("Holder", {name: attrs.field(type=wanted, default=MISSING)})
    return lambda properties: getattr(properties.bind("", model), name)


def as_msgspec(name: str, wanted: Any) -> Callable[[Properties], Any]:
    model = msgspec.defstruct("Holder", [(name, wanted, msgspec.field(default=MISSING))])
    return lambda properties: getattr(properties.bind("", model), name)


def as_named_tuple(name: str, wanted: Any) -> Callable[[Properties], Any]:
    model: Any = NamedTuple("Holder", [(name, wanted)])
    model._field_defaults = {name: MISSING}
    return lambda properties: properties.bind("", model)._asdict().get(name)


def as_typed_dict(name: str, wanted: Any) -> Callable[[Properties], Any]:
    model: Any = TypedDict("Holder", {name: wanted}, total=False)  # type: ignore[misc]
    return lambda properties: properties.bind("", model).get(name, MISSING)


def as_settings(name: str, wanted: Any) -> Callable[[Properties], Any]:
    def settle(properties: Properties) -> Any:
        made: Any = {
            "__annotations__": {name: wanted},
            name: MISSING,
            "model_config": {"validate_default": False},
            "settings_customise_sources": from_config_server(properties),
        }
        return getattr(type("Holder", (BaseSettings,), made)(), name)

    return settle


DOORS = [as_dataclass, as_pydantic, as_attrs, as_msgspec, as_typed_dict, as_settings]


@pytest.mark.parametrize("door", DOORS)
def test_every_kind_of_class_gets_what_get_returns(
    door: Callable[[str, Any], Callable[[Properties], Any]],
) -> None:
    names = [(row, row["key"].replace("-", "_")) for row in ROWS]
    for row, name in names:
        if not name.isidentifier():
            continue
        try:
            found = shown(door(name, named(row))(read(row)))
        except (PropertyTypeError, pydantic.ValidationError):
            found = PropertyTypeError
        assert found == expected(row), described(row)
