"""Parameters of endpoints: names, descriptions, schemas and parsing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from pyfly.config_core import BASE_PROFILE, JsonValue, check_name, check_profile
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from pyfly.config_server.composition.key_selection import KeySelection
from pyfly.config_server.http.errors import HttpError

__all__ = [
    "APPLICATION",
    "KEYS",
    "LABEL",
    "LABELS",
    "LIMIT",
    "NAME",
    "PREFER",
    "PROFILE",
    "PROFILES",
    "RESOLVE_PLACEHOLDERS",
    "AnyParameter",
    "Parameter",
    "invalid_query",
    "only",
    "parse_query",
    "text_parameter",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter(Generic[T]):
    """One parameter of an endpoint, in its path, query or headers."""

    name: str
    """The name as sent."""
    place: Literal["path", "query", "header"]
    description: str
    """The description in the OpenAPI document."""
    schema: JsonValue
    """The schema in the OpenAPI document."""
    parse: Callable[[str], T]
    """Parses a value of the query. Raises `HttpError` or `InvalidConfigKeyError`."""

    def document(self) -> JsonValue:
        """Return this parameter as an OpenAPI object."""
        document: dict[str, JsonValue] = {
            "name": self.name,
            "in": self.place,
            "description": self.description,
            "schema": self.schema,
        }
        return document | {"required": True} if self.place == "path" else document


AnyParameter: TypeAlias = Parameter[Any]


def parse_query(
    query: bytes, parameters: Sequence[AnyParameter], *, strict: bool
) -> Mapping[str, object]:
    """Return the values of a query by name.

    Args:
        query: As sent.
        parameters: The parameters of the endpoint, including those of the path.
        strict: True to refuse unknown and repeated parameters. Otherwise unknown parameters are
            ignored, and the first of repeated parameters counts.

    Raises:
        HttpError: 400; a parameter is unknown, repeated or not acceptable.
        InvalidConfigKeyError: A name is not acceptable.
    """
    known = {one.name: one for one in parameters if one.place == "query"}
    values: dict[str, object] = {}
    for name, text in _pairs(query, strict=strict):
        if strict and name not in known:
            among = f"use {', '.join(known)}" if known else "this route has no parameters"
            raise invalid_query(f"unknown parameter {name!r:.60}; {among}")
        if strict and name in values:
            raise invalid_query("a parameter is given twice")
        if name in known and name not in values:
            values[name] = known[name].parse(text)
    return values


def _pairs(query: bytes, *, strict: bool) -> list[tuple[str, str]]:
    if not strict:
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise invalid_query("the query is not UTF-8") from error


def invalid_query(message: str) -> HttpError:
    """Return the error for an invalid query."""
    return HttpError(400, "invalid-query", message)


# --- parameters that several endpoints have -----------------------------------------------------

_TEXT: Final[JsonValue] = {"type": "string"}


def text_parameter(
    name: str, place: Literal["path", "query", "header"], description: str
) -> Parameter[str]:
    """Return a parameter that accepts any text."""
    return Parameter(name=name, place=place, description=description, schema=_TEXT, parse=str)


NAME: Final = text_parameter(
    "name", "path", "Application, or a comma list. `(_)` stands for a slash."
)
PROFILES: Final = text_parameter("profiles", "path", "Profile, or a comma list; the last one wins.")
LABELS: Final = text_parameter(
    "label", "path", "Label, or a comma list. `(_)` or `%2F` stands for a slash."
)
PREFER: Final = text_parameter(
    "Prefer",
    "header",
    "`wait=N`: while the client has the current answer, hold the response for up to N seconds "
    "until there is another one.",
)
APPLICATION: Final = text_parameter(
    "application", "path", "One application. `(_)` stands for a slash."
)
PROFILE: Final = text_parameter("profile", "path", "One profile.")
LABEL: Final = text_parameter("label", "path", "One label. `(_)` or `%2F` stands for a slash.")


def _parse_profile(text: str) -> str:
    if text != BASE_PROFILE:
        check_profile(text)
    return text


def _parse_name(field: str, text: str) -> str:
    check_name(field, text)
    return text


def only(field: Literal["application", "profile", "label"]) -> Parameter[str]:
    """Return the query parameter that selects the rows of one application, profile or label."""
    return Parameter(
        name=field,
        place="query",
        description=f"Only this {field}.",
        schema=_TEXT,
        parse=_parse_profile if field == "profile" else partial(_parse_name, field),
    )


def _parse_limit(text: str) -> int:
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_PAGE_ROWS))
    if not (digits and 1 <= int(text) <= MAX_PAGE_ROWS):
        raise invalid_query(f"'limit' must be a number from 1 to {MAX_PAGE_ROWS}")
    return int(text)


LIMIT: Final[Parameter[int]] = Parameter(
    name="limit",
    place="query",
    description="The largest number of rows.",
    schema={
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_PAGE_ROWS,
        "default": DEFAULT_PAGE_ROWS,
    },
    parse=_parse_limit,
)

_TRUE: Final = frozenset({"", "true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})


def _parse_resolve(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise invalid_query("'resolvePlaceholders' must be 'true' or 'false'")
    return text.lower() in _TRUE


RESOLVE_PLACEHOLDERS: Final[Parameter[bool]] = Parameter(
    name="resolvePlaceholders",
    place="query",
    description="`true` replaces `${key}` by the value of a key of the document.",
    schema={"type": "boolean", "default": True},
    parse=_parse_resolve,
)

KEYS: Final[Parameter[KeySelection | None]] = Parameter(
    name="keys",
    place="query",
    description="A comma list of at most 64 keys. `db` selects `db` and all keys below it, "
    "`feature.*` all keys below `feature`, `*` all keys. Names are relaxed: `db.pool-size` selects "
    "`db.poolSize`, too.",
    schema={"type": "string", "minLength": 1, "examples": ["db,feature.*"]},
    parse=KeySelection.parse,
)
