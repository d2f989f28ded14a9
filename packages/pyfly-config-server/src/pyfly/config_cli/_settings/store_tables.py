"""The setting `store`: several stores, each for the applications of its patterns."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeAlias, cast

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from pyfly.config_core import ConfigFormatError
from pyfly.config_server.formats.text import parse_text

__all__ = ["StoreTable", "Stores"]

_PLACEHOLDER: Final = re.compile(r"\{(?:application|profile|label)\}")
_MEMBERS: Final = frozenset({"url", "applications"})
_TABLES_SCHEMA: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["url"],
        "additionalProperties": False,
        "properties": {
            "url": {"type": "string", "minLength": 1},
            "applications": {"type": "array", "items": {"type": "string"}},
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTable:
    """One table `[[store]]`."""

    url: str = field(repr=False)
    """A directory or a URL; may carry a password."""
    applications: tuple[str, ...] = ()
    """Patterns of names; empty for the main store."""


def _to_stores(value: object) -> tuple[StoreTable, ...]:
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, list | tuple):
        raise ValueError("must be tables with 'url' and 'applications'")  # noqa: TRY004 - as pydantic wants it
    items = cast("list[object] | tuple[object, ...]", value)  # of what, is checked next
    tables = tuple(_to_table(number, item) for number, item in enumerate(items, 1))
    for number, table in enumerate(tables, 1):
        is_last = number == len(tables)
        if is_last and table.applications:
            raise ValueError(
                f"store {number}, the last one, serves every other application; it must have no "
                "'applications'"
            )
        if not is_last and not table.applications:
            raise ValueError(
                f"store {number} has no 'applications'; only the last one, which serves every "
                "other application, has none"
            )
    return tables


def _parsed(text: str) -> object:
    try:
        return parse_text(text.encode(), suffix=".yaml").get("document") if text.strip() else ()
    except ConfigFormatError as error:
        raise ValueError(str(error)) from error


def _to_table(number: int, value: object) -> StoreTable:
    if isinstance(value, StoreTable):
        return value
    is_table = isinstance(value, Mapping)
    table: Mapping[str, object] = cast("Mapping[str, object]", value) if is_table else {}
    if not table or not table.keys() <= _MEMBERS:
        raise ValueError(f"store {number} must be a table with 'url' and 'applications' only")
    url, names = table.get("url"), table.get("applications", ())
    if not isinstance(url, str) or not url:
        raise ValueError(f"store {number}: 'url' must be a directory or a URL")
    if _PLACEHOLDER.search(url.partition("?")[0]):
        raise ValueError(
            f"store {number}: 'url' has a placeholder, which is not replaced; write one store for "
            "each place, with patterns in 'applications'"
        )
    if not isinstance(names, list | tuple):
        raise ValueError(f"store {number}: 'applications' must be a list of texts")  # noqa: TRY004
    patterns = cast("list[object] | tuple[object, ...]", names)
    if not all(isinstance(one, str) for one in patterns):
        raise ValueError(f"store {number}: 'applications' must be a list of texts")
    return StoreTable(url=url, applications=tuple(map(str, patterns)))


def _to_plain(value: tuple[StoreTable, ...]) -> list[dict[str, object]]:
    return [{"url": one.url, "applications": [*one.applications]} for one in value]


Stores: TypeAlias = Annotated[
    tuple[StoreTable, ...],
    PlainValidator(_to_stores),
    PlainSerializer(_to_plain),
    WithJsonSchema({"anyOf": [_TABLES_SCHEMA, {"type": "string", "pattern": r"^\s*$"}]}),
]
