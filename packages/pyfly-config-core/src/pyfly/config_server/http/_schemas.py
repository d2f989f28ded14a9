"""The words and schemas of the OpenAPI document; what is served is decided elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from pyfly.config_core import MEDIA_TYPE_V2, JsonValue
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from pyfly.config_server.http.answers import TEXT
from pyfly.config_server.http.routes import Operation

_Key: TypeAlias = tuple[Operation, str]

_TEXT: Final[dict[str, JsonValue]] = {"type": "string"}
_TEXT_OR_NULL: Final[dict[str, JsonValue]] = {"type": ["string", "null"]}
_NAMES: Final[dict[str, JsonValue]] = {
    "application": _TEXT,
    "profile": _TEXT,
    "label": _TEXT,
    "version": _TEXT_OR_NULL,
}


_NEXT: Final[dict[str, JsonValue]] = {
    "type": ["string", "null"],
    "description": "The cursor of the next page, null at the end.",
}


def _object(required: Sequence[str], **properties: JsonValue) -> dict[str, JsonValue]:
    return {"type": "object", "required": list(required), "properties": dict(properties)}


def _list(items: JsonValue) -> dict[str, JsonValue]:
    return {"type": "array", "items": items}


def _ref(name: str) -> dict[str, JsonValue]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


SCHEMAS: Final[Mapping[str, JsonValue]] = {
    "Environment": _object(
        ("name", "profiles", "label", "version", "state", "propertySources"),
        name=_TEXT,
        profiles=_list(_TEXT),
        label=_TEXT_OR_NULL,
        version=_TEXT_OR_NULL,
        state=_TEXT_OR_NULL,
        propertySources=_list(
            _object(
                ("name", "source"),
                name=_TEXT,
                source={
                    "type": "object",
                    "description": "Flat keys. In the v2 media type a value may be an object of "
                    "`value` and `origin`.",
                    "additionalProperties": {"type": ["string", "number", "boolean", "object"]},
                },
            )
        ),
    ),
    "Error": _object(
        ("timestamp", "status", "error", "path"),
        timestamp={"type": "string", "format": "date-time"},
        status={"type": "integer"},
        error=_TEXT,
        message=_TEXT,
        path=_TEXT,
    ),
    "Problem": _object(
        ("type", "title", "status", "detail", "instance", "code"),
        type=_TEXT,
        title=_TEXT,
        status={"type": "integer"},
        detail=_TEXT,
        instance=_TEXT,
        code={"type": "string", "description": "A stable word for machines."},
        current={
            "type": ["string", "null"],
            "description": "Of a conflict: the stored version, null when nothing is stored.",
        },
    ),
    "Page": _object(
        ("bundles", "next"),
        bundles=_list(
            _object(
                tuple(_NAMES),
                **_NAMES,
                error={"type": "string", "description": "Why the bundle cannot be read."},
            )
        ),
        next=_NEXT,
    ),
    "Bundle": _object((*_NAMES, "properties"), **_NAMES, properties={"type": "object"}),
    "Written": _object(tuple(_NAMES), **_NAMES),
    "Versions": _object(
        ("versions", "next"),
        versions=_list(
            _object(
                ("version", "savedAt", "author", "message", "deleted"),
                version=_TEXT,
                savedAt={"type": "string", "format": "date-time"},
                author=_TEXT_OR_NULL,
                message=_TEXT_OR_NULL,
                deleted={"type": "boolean"},
            )
        ),
        next=_NEXT,
    ),
    "Rollback": _object(("version",), version=_TEXT),
    "EncryptionStatus": _object(("status",), status=_TEXT, description=_TEXT),
    "EncryptionError": {
        "anyOf": [
            {"$ref": "#/components/schemas/Error"},
            _object(("status", "description"), status=_TEXT, description=_TEXT),
        ]
    },
}

SEGMENTS: Final = {
    "name": "Application, or a comma list. `(_)` stands for a slash.",
    "profiles": "Profile, or a comma list; the last one wins.",
    "label": "Label; in a document's path a comma list. `(_)` or `%2F` stands for a slash.",
    "application": "One application. `(_)` stands for a slash.",
    "profile": "One profile.",
    "version": "A version, as the history lists it.",
    "path": "Path of a plain file, with slashes.",
    "extension": "`json`, `properties`, `yaml` or `yml`.",
}

SUMMARIES: Final[dict[_Key, str]] = {
    ("bundle", "PUT"): "Stores a bundle whole, under a condition.",
    ("bundle", "DELETE"): "Removes a bundle, under a condition.",
}


def _parameter(name: str, place: str, text: str, schema: JsonValue) -> JsonValue:
    return {"name": name, "in": place, "description": text, "schema": schema}


_IF_MATCH: Final = _parameter(
    "If-Match", "header", '`"<version>"`, or `*` for whatever is stored.', _TEXT
)

_RESOLVE: Final = _parameter(
    "resolvePlaceholders",
    "query",
    "Whether `${key}` is replaced by the value of a key of the document.",
    {"type": "boolean", "default": True},
)

_PAGING: Final = (
    _parameter(
        "limit",
        "query",
        "How many at most.",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_ROWS, "default": DEFAULT_PAGE_ROWS},
    ),
    _parameter("cursor", "query", "`next` of the page before.", _TEXT),
)

PARAMETERS: Final[dict[_Key, tuple[JsonValue, ...]]] = {
    ("flattened", "GET"): (_RESOLVE,),
    ("resource", "GET"): (_RESOLVE,),
    ("bundles", "GET"): (
        _parameter("application", "query", "Only this application.", _TEXT),
        _parameter("profile", "query", "Only this profile.", _TEXT),
        _parameter("label", "query", "Only this label.", _TEXT),
        *_PAGING,
    ),
    ("bundle", "PUT"): (
        _IF_MATCH,
        _parameter("If-None-Match", "header", "`*`: nothing is stored yet.", _TEXT),
    ),
    ("bundle", "DELETE"): (_IF_MATCH,),
    ("history", "GET"): _PAGING,
    ("rollback", "POST"): (_IF_MATCH,),
}

_SENT_TEXT: Final[dict[str, JsonValue]] = {"text/plain": {"schema": _TEXT}}

BODIES: Final[dict[_Key, dict[str, JsonValue]]] = {
    ("bundle", "PUT"): {
        "application/json": {"schema": {"type": "object"}},
        "application/yaml": {"schema": {"type": "object"}},
    },
    ("rollback", "POST"): {"application/json": _ref("Rollback")},
    ("encrypt", "POST"): _SENT_TEXT,
    ("decrypt", "POST"): _SENT_TEXT,
}


def _read(content: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {
        "200": {"description": "The document.", "content": content},
        "304": {"description": "The client has this version; see If-None-Match."},
    }


def _json(name: str) -> dict[str, JsonValue]:
    return {"application/json": _ref(name)}


_CREATED: Final[dict[str, JsonValue]] = {
    "201": {"description": "Created; the ETag is its version.", "content": _json("Written")}
}
_WRITTEN: Final[dict[str, JsonValue]] = {
    "200": {"description": "Stored; the ETag is the new version.", "content": _json("Written")}
}

_ANSWERED_TEXT: Final[dict[str, JsonValue]] = {
    "200": {"description": "The text.", "content": {TEXT: {"schema": _TEXT}}}
}

RESULTS: Final[dict[_Key, dict[str, JsonValue]]] = {
    ("openapi", "GET"): _read({"application/json": {"schema": {"type": "object"}}}),
    ("environment", "GET"): _read(
        {"application/json": _ref("Environment"), MEDIA_TYPE_V2: _ref("Environment")}
    ),
    ("flattened", "GET"): _read(
        {"application/json": {"schema": {"type": "object"}}, TEXT: {"schema": _TEXT}}
    ),
    ("resource", "GET"): _read({"*/*": {"schema": _TEXT}}),
    ("bundles", "GET"): _read(_json("Page")),
    ("bundle", "GET"): _read(_json("Bundle")),
    ("bundle", "PUT"): _WRITTEN | _CREATED,
    ("bundle", "DELETE"): {"204": {"description": "Removed."}},
    ("history", "GET"): _read(_json("Versions")),
    ("version", "GET"): _read(_json("Bundle")),
    ("rollback", "POST"): _WRITTEN,
    ("encryptionStatus", "GET"): {
        "200": {"description": "There is a key.", "content": _json("EncryptionStatus")}
    },
    ("publicKey", "GET"): _ANSWERED_TEXT,
    ("encrypt", "POST"): _ANSWERED_TEXT,
    ("decrypt", "POST"): _ANSWERED_TEXT,
}

_READING: Final = {
    "400": "A name or a parameter is not acceptable, or the names make more than 256 lookups.",
    "404": "There is no such label, bundle or version.",
    "406": "No acceptable media type.",
    "500": "A stored text that is needed cannot be read, the answer would be too large, or the "
    "store failed.",
    "503": "The store cannot be reached; see the Retry-After header.",
}
_WRITING: Final = {
    "400": "A name or a condition is not acceptable.",
    "403": "No credential is configured, so nobody may write.",
    "409": "A file that must not be rewritten is in the way.",
    "412": "The condition does not hold; `current` is the stored version.",
    "428": "If-Match or If-None-Match is missing.",
    "500": "The store failed.",
    "501": "The store lacks the ability.",
    "503": "The store cannot be reached; see the Retry-After header.",
}
_WITH_BODY: Final = {
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body's media type is not taken.",
    "422": "The body is not what can be stored.",
}
_NO_KEY: Final = {"404": "There is no such key."}
_CONVERTING: Final = {
    "400": "A name, the key or the text is not acceptable.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body is compressed.",
}
_UNSUPPORTED: Final = {"501": "The store has no history."}

ERRORS: Final[dict[_Key, dict[str, str]]] = {
    ("openapi", "GET"): {},
    ("environment", "GET"): _READING,
    ("flattened", "GET"): {key: text for key, text in _READING.items() if key != "406"},
    ("resource", "GET"): {key: text for key, text in _READING.items() if key != "406"},
    ("bundles", "GET"): _READING,
    ("bundle", "GET"): _READING,
    ("bundle", "PUT"): _WRITING | _WITH_BODY,
    ("bundle", "DELETE"): _WRITING,
    ("history", "GET"): _READING | _UNSUPPORTED,
    ("version", "GET"): _READING | _UNSUPPORTED,
    ("rollback", "POST"): _WRITING | _WITH_BODY | {"404": "There is no such version."},
    ("encryptionStatus", "GET"): _NO_KEY,
    ("publicKey", "GET"): _NO_KEY | {"400": "A name is not acceptable."},
    ("encrypt", "POST"): _NO_KEY | _CONVERTING,
    ("decrypt", "POST"): _NO_KEY | _CONVERTING | {"403": "Decrypting is not switched on."},
}


def common_errors(*, secured: bool, guarded: bool) -> dict[str, str]:
    """Return the errors of every operation, by status.

    Args:
        secured: Whether requests must carry a credential.
        guarded: Whether the names by which requests come are checked.
    """
    errors = {
        "400": "The path holds what no name can hold.",
        "405": "The method is not allowed; see the Allow header.",
        "414": "The path or the query is too long.",
    }
    if secured:
        errors["401"] = "The credential is missing or wrong."
    if guarded:
        errors["400"] += " There is no Host header, or more than one, or it is not valid."
        errors["403"] = "A page of another site makes the request."
        errors["421"] = "The name in the Host header is not allowed."
    return errors
