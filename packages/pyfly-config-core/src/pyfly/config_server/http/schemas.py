"""JSON schemas for the OpenAPI document, including the schemas of errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pyfly.config_core import JsonValue

__all__ = [
    "ANY_OBJECT",
    "DATE_TIME",
    "ERROR",
    "NEXT_PAGE",
    "PROBLEM",
    "TEXT_OR_NULL",
    "TEXT_SCHEMA",
    "Content",
    "Schema",
    "list_of",
    "object_of",
    "reference",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A named schema, which the OpenAPI document lists among its components."""

    name: str
    document: Mapping[str, JsonValue]
    uses: tuple["Schema", ...] = field(default=())
    """Other named schemas to which `document` refers."""


Content: TypeAlias = Mapping[str, "Schema | JsonValue"]
"""Schemas by media type: named schemas or plain JSON schemas."""

TEXT_SCHEMA: Final[dict[str, JsonValue]] = {"type": "string"}
TEXT_OR_NULL: Final[dict[str, JsonValue]] = {"type": ["string", "null"]}
ANY_OBJECT: Final[dict[str, JsonValue]] = {"type": "object"}
NEXT_PAGE: Final[dict[str, JsonValue]] = {
    "type": ["string", "null"],
    "description": "The cursor of the next page, null at the end.",
}
DATE_TIME: Final[dict[str, JsonValue]] = {"type": "string", "format": "date-time"}


def object_of(required: Sequence[str], **properties: JsonValue) -> dict[str, JsonValue]:
    """Return the schema of an object."""
    return {"type": "object", "required": list(required), "properties": dict(properties)}


def list_of(items: JsonValue) -> dict[str, JsonValue]:
    """Return the schema of an array."""
    return {"type": "array", "items": items}


def reference(schema: Schema) -> dict[str, JsonValue]:
    """Return a reference to a named schema."""
    return {"$ref": f"#/components/schemas/{schema.name}"}


ERROR: Final = Schema(
    name="Error",
    document=object_of(
        ("timestamp", "status", "error", "path"),
        timestamp=DATE_TIME,
        status={"type": "integer"},
        error=TEXT_SCHEMA,
        message=TEXT_SCHEMA,
        path=TEXT_SCHEMA,
    ),
)
"""An error in the format of Spring Boot."""

PROBLEM: Final = Schema(
    name="Problem",
    document=object_of(
        ("type", "title", "status", "detail", "instance", "code"),
        type=TEXT_SCHEMA,
        title=TEXT_SCHEMA,
        status={"type": "integer"},
        detail=TEXT_SCHEMA,
        instance=TEXT_SCHEMA,
        code={"type": "string", "description": "A stable word for programs."},
        current={
            "type": ["string", "null"],
            "description": "After a conflict: the stored version, null if nothing is stored.",
        },
        freeze={"type": "string", "description": "The id of the freeze that covers the bundle."},
        reason={"type": "string", "description": "Its reason."},
        until={
            "type": ["string", "null"],
            "format": "date-time",
            "description": "Its end, null if it lasts until somebody removes it.",
        },
    ),
)
"""An error of a route of pyfly-config (RFC 9457)."""
