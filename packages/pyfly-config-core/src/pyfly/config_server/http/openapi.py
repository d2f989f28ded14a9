"""The OpenAPI document, made from the route table and the words in `_schemas`."""

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from pyfly.config_core import JsonValue
from pyfly.config_server.http import _schemas as schemas
from pyfly.config_server.http.access import SharedCredential
from pyfly.config_server.http.routes import ROUTES, Operation, Route

_DISTRIBUTION: Final = "pyfly-config-core"
_UNDESCRIBED: Final = frozenset({"HEAD", "OPTIONS"})
_AT_LABEL: Final = frozenset({"environment", "flattened"})
"""Operations with a label in the path or without."""
_FOR_NAMES: Final = frozenset({"publicKey", "encrypt", "decrypt"})
"""Operations with an application and profiles in the path or without."""
_ENCRYPTION: Final = _FOR_NAMES | {"encryptionStatus"}
_CONTRACT: Final = _AT_LABEL | {"resource"}
"""Operations whose errors are Spring's; those of encryption have words of their own."""
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_IDS: Final[dict[tuple[Operation, str], str]] = {
    ("openapi", "GET"): "openapi",
    ("environment", "GET"): "environment",
    ("flattened", "GET"): "flattened",
    ("resource", "GET"): "resource",
    ("bundles", "GET"): "listBundles",
    ("bundle", "GET"): "readBundle",
    ("bundle", "PUT"): "writeBundle",
    ("bundle", "DELETE"): "deleteBundle",
    ("history", "GET"): "listVersions",
    ("version", "GET"): "readVersion",
    ("rollback", "POST"): "rollbackBundle",
    ("encryptionStatus", "GET"): "encryptionStatus",
    ("publicKey", "GET"): "publicKey",
    ("encrypt", "POST"): "encrypt",
    ("decrypt", "POST"): "decrypt",
}


def openapi_document(
    *, base_path: str, auth: SharedCredential | None, guarded: bool = False
) -> dict[str, JsonValue]:
    """Return the OpenAPI 3.1 description of every route below `base_path`.

    Args:
        base_path: Where the routes lie.
        auth: What requests must carry.
        guarded: Whether the names by which requests come are checked.
    """
    common = schemas.common_errors(secured=auth is not None, guarded=guarded)
    paths: dict[str, JsonValue] = {
        route.template: {
            method.lower(): _operation(route, method, common)
            for method in route.methods
            if method not in _UNDESCRIBED
        }
        for route in ROUTES
        if route.query is None  # such a one has the path of another
    }
    components: dict[str, JsonValue] = {"schemas": dict(schemas.SCHEMAS)}
    document: dict[str, JsonValue] = {
        "openapi": "3.1.0",
        "info": {"title": "pyfly-config", "version": version(_DISTRIBUTION)},
        "servers": [{"url": base_path or "/"}],
        "paths": paths,
        "components": components,
    }
    if auth is not None:
        components["securitySchemes"] = {"shared": {"type": "http", "scheme": auth.scheme}}
        document["security"] = [{"shared": []}]
    return document


def _operation(route: Route, method: str, common: Mapping[str, str]) -> dict[str, JsonValue]:
    kind = route.operation
    suffix = "AtLabel" if kind in _AT_LABEL and "{label}" in route.segments else ""
    suffix = "ForApplication" if kind in _FOR_NAMES and "{name}" in route.segments else suffix
    operation: dict[str, JsonValue] = {
        "operationId": _IDS[kind, method] + suffix,
        "summary": schemas.SUMMARIES.get((kind, method), route.summary),
        "parameters": [*_path_parameters(route), *schemas.PARAMETERS.get((kind, method), ())],
        "responses": _responses(kind, method, common),
    }
    if (body := schemas.BODIES.get((kind, method))) is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _path_parameters(route: Route) -> list[JsonValue]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": schemas.SEGMENTS[name],
            "schema": {"type": "string"},
        }
        for name in _PARAMETER.findall(route.template)
    ]


def _responses(kind: Operation, method: str, common: Mapping[str, str]) -> dict[str, JsonValue]:
    media_type, schema = "application/problem+json", "Problem"
    if kind in _CONTRACT | _ENCRYPTION:
        media_type = "application/json"
        schema = "EncryptionError" if kind in _ENCRYPTION else "Error"
    content: JsonValue = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    listed = dict(schemas.ERRORS[kind, method])
    for status, text in common.items():
        listed[status] = f"{listed[status]} {text}" if status in listed else text
    responses = dict(schemas.RESULTS[kind, method])
    for status, text in sorted(listed.items()):
        responses[status] = {"description": text, "content": content}
    return responses
