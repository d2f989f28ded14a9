"""The OpenAPI document, made from the endpoints."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Final

from pyfly.config_core import JsonValue
from pyfly.config_server.access import Right
from pyfly.config_server.http.endpoint import Endpoint, Root
from pyfly.config_server.http.responses import JSON, PROBLEM_JSON
from pyfly.config_server.http.schemas import Content, Schema, reference

__all__ = ["openapi_document"]

_DISTRIBUTION: Final = "pyfly-config-core"


def openapi_document(
    endpoints: Sequence[Endpoint],
    *,
    base_path: str,
    scheme: str | None,
    checks_hosts: bool = False,
) -> dict[str, JsonValue]:
    """Return the OpenAPI 3.1 description of the endpoints below `base_path`.

    Args:
        endpoints: All endpoints; those outside of the base path are left out.
        base_path: The base path of the routes.
        scheme: The HTTP authentication scheme, or `None` if requests need no credential.
        checks_hosts: True if the names in `Host` headers are checked.
    """
    described = [
        one
        for one in endpoints
        if one.root is Root.BASE_PATH and one.selector is None  # a selector shares another path
    ]
    common = _common_errors(secured=scheme is not None, checks_hosts=checks_hosts)
    components: dict[str, JsonValue] = {"schemas": _schemas(described)}
    document: dict[str, JsonValue] = {
        "openapi": "3.1.0",
        "info": {"title": "pyfly-config", "version": version(_DISTRIBUTION)},
        "servers": [{"url": base_path or "/"}],
        "paths": _paths(described, common),
        "components": components,
    }
    if scheme is not None:
        components["securitySchemes"] = {"shared": {"type": "http", "scheme": scheme}}
        document["security"] = [{"shared": []}]
    return document


def _paths(endpoints: Iterable[Endpoint], common: Mapping[int, str]) -> dict[str, JsonValue]:
    paths: dict[str, dict[str, JsonValue]] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, common)
    return {**paths}


def _common_errors(*, secured: bool, checks_hosts: bool) -> dict[int, str]:
    """Return the errors that every endpoint has, by status."""
    errors = {
        400: "The path holds characters that no name can hold.",
        405: "The method is not allowed; see the Allow header.",
        414: "The path or the query is too long.",
    }
    if secured:
        errors[401] = "The credential is missing or wrong."
    if checks_hosts:
        errors[400] += " There is no Host header, or more than one, or it is not valid."
        errors[403] = "The request comes from a page of another site."
        errors[421] = "The name in the Host header is not allowed."
    return errors


def _operation(endpoint: Endpoint, common: Mapping[int, str]) -> dict[str, JsonValue]:
    operation: dict[str, JsonValue] = {
        "operationId": endpoint.id,
        "summary": endpoint.summary,
        "parameters": [one.document() for one in endpoint.parameters],
        "responses": _responses(endpoint, common),
    }
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(endpoint.body.content)}
    return operation


def _responses(endpoint: Endpoint, common: Mapping[int, str]) -> dict[str, JsonValue]:
    responses: dict[str, JsonValue] = {}
    for result in endpoint.results:
        described: dict[str, JsonValue] = {"description": result.description}
        if result.content:
            described["content"] = _content(result.content)
        responses[str(result.status)] = described
    media_type = PROBLEM_JSON if endpoint.is_own else JSON
    content = _content({media_type: endpoint.error_schema})
    for status, text in sorted(_errors(endpoint, common).items()):
        responses[str(status)] = {"description": text, "content": content}
    return responses


def _errors(endpoint: Endpoint, common: Mapping[int, str]) -> dict[int, str]:
    errors = dict(endpoint.errors)
    if isinstance(endpoint.access, Right):
        _add(errors, {403: f"The principal lacks the right `{endpoint.access.value}`."})
    _add(errors, common)
    return errors


def _add(errors: dict[int, str], more: Mapping[int, str]) -> None:
    for status, text in more.items():
        errors[status] = f"{errors[status]} {text}" if status in errors else text


def _content(content: Content) -> dict[str, JsonValue]:
    return {
        media_type: {"schema": reference(one) if isinstance(one, Schema) else one}
        for media_type, one in content.items()
    }


def _schemas(endpoints: Iterable[Endpoint]) -> dict[str, JsonValue]:
    """Return the named schemas of all endpoints, by name."""
    schemas: dict[str, JsonValue] = {}
    for endpoint in endpoints:
        contents = [result.content for result in endpoint.results]
        contents += [] if endpoint.body is None else [endpoint.body.content]
        used = [one for content in contents for one in content.values()]
        for schema in (*used, endpoint.error_schema, *endpoint.error_schema.uses):
            if isinstance(schema, Schema):
                schemas[schema.name] = dict(schema.document)
    return dict(sorted(schemas.items()))
