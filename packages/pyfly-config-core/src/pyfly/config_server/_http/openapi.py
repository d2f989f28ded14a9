"""The OpenAPI document, made from the route table."""

from importlib.metadata import version
from typing import Final

from pyfly.config_core import MEDIA_TYPE_V2, JsonValue
from pyfly.config_server._http.access import SharedCredential
from pyfly.config_server._http.routes import ROUTES, Route

_DISTRIBUTION: Final = "pyfly-config-core"

_PARAMETERS: Final[dict[str, str]] = {
    "name": "Application, or a comma list. `(_)` stands for a slash.",
    "profiles": "Profile, or a comma list; the last one wins.",
    "label": "Label, or a comma list; the last one wins. `(_)` or `%2F` stands for a slash.",
}

_ENVIRONMENT: Final[dict[str, JsonValue]] = {
    "type": "object",
    "required": ["name", "profiles", "label", "version", "state", "propertySources"],
    "properties": {
        "name": {"type": "string"},
        "profiles": {"type": "array", "items": {"type": "string"}},
        "label": {"type": ["string", "null"]},
        "version": {"type": ["string", "null"]},
        "state": {"type": ["string", "null"]},
        "propertySources": {
            "type": "array",
            "description": "Highest precedence first.",
            "items": {
                "type": "object",
                "required": ["name", "source"],
                "properties": {
                    "name": {"type": "string"},
                    "source": {
                        "type": "object",
                        "additionalProperties": {"type": ["string", "number", "boolean"]},
                    },
                },
            },
        },
    },
}

_ERROR: Final[dict[str, JsonValue]] = {
    "type": "object",
    "required": ["timestamp", "status", "error", "path"],
    "properties": {
        "timestamp": {"type": "string", "format": "date-time"},
        "status": {"type": "integer"},
        "error": {"type": "string"},
        "message": {"type": "string"},
        "path": {"type": "string"},
    },
}

_ERRORS: Final[dict[str, str]] = {
    "400": "A name is not acceptable.",
    "404": "The label does not exist, or there is no such route.",
    "405": "The method is not allowed; see the Allow header.",
    "406": "No acceptable media type.",
    "500": "A stored text that is needed cannot be read.",
    "503": "The store cannot be reached; see the Retry-After header.",
}


def openapi_document(*, base_path: str, auth: SharedCredential | None) -> dict[str, JsonValue]:
    """Return the OpenAPI 3.1 description of every route below `base_path`."""
    document: dict[str, JsonValue] = {
        "openapi": "3.1.0",
        "info": {"title": "pyfly-config", "version": version(_DISTRIBUTION)},
        "servers": [{"url": base_path or "/"}],
        "paths": {route.template: _path_item(route, secured=auth is not None) for route in ROUTES},
        "components": {"schemas": {"Environment": _ENVIRONMENT, "Error": _ERROR}},
    }
    if auth is not None:
        scheme: JsonValue = {"type": "http", "scheme": auth.scheme}
        document["components"] = {
            "schemas": {"Environment": _ENVIRONMENT, "Error": _ERROR},
            "securitySchemes": {"shared": scheme},
        }
        document["security"] = [{"shared": []}]
    return document


def _path_item(route: Route, *, secured: bool) -> dict[str, JsonValue]:
    operation: dict[str, JsonValue] = {
        "operationId": route.operation + ("AtLabel" if "{label}" in route.segments else ""),
        "summary": route.summary,
        "responses": _responses(route, secured=secured),
    }
    names = [segment[1:-1] for segment in route.segments if segment.startswith("{")]
    operation["parameters"] = [_parameter(name) for name in names]
    return {"get": operation}


def _parameter(name: str) -> dict[str, JsonValue]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _PARAMETERS[name],
        "schema": {"type": "string"},
    }


def _responses(route: Route, *, secured: bool) -> dict[str, JsonValue]:
    error: JsonValue = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    listed = dict(_ERRORS)
    content: dict[str, JsonValue] = {"application/json": {"schema": {"type": "object"}}}
    if route.operation == "environment":
        schema: JsonValue = {"schema": {"$ref": "#/components/schemas/Environment"}}
        content = {"application/json": schema, MEDIA_TYPE_V2: schema}
    else:
        listed = {"405": _ERRORS["405"]}
    if secured:
        listed["401"] = "The credential is missing or wrong."
    responses: dict[str, JsonValue] = {
        "200": {"description": "The document.", "content": content},
        "304": {"description": "The client has this version; see If-None-Match."},
    }
    for status, text in sorted(listed.items()):
        responses[status] = {"description": text, "content": error}
    return responses
