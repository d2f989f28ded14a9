"""The routes as Markdown: what `_openapi.json` says of each, and the right that it needs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyfly.config_server.access import Right
from pyfly.config_server.http.endpoint import Audience, Endpoint, Root
from pyfly.config_server.http.endpoints import ENDPOINTS
from pyfly.config_server.http.openapi import openapi_document

_AUDIENCES = {
    Audience.PUBLIC: "nothing",
    Audience.WEBHOOK: "the secret of webhooks, or `operate`",
    Audience.ANY_PRINCIPAL: "any principal",
}


def routes() -> str:
    """Return a table of all routes, and a section for each."""
    rows = [
        f"| [`{one.method} {_path(one)}`](#{_anchor(one)}) | {_access(one)} | {one.summary} |"
        for one in ENDPOINTS
    ]
    table = "\n".join(["| route | needs | |", "|---|---|---|", *rows])
    return "\n\n".join([table, *(_section(one) for one in ENDPOINTS)])


def _path(endpoint: Endpoint) -> str:
    base = "{base}" if endpoint.root is Root.BASE_PATH else ""
    selector = f"?{endpoint.selector}" if endpoint.selector else ""
    return f"{base}{endpoint.path}{selector}"


def _anchor(endpoint: Endpoint) -> str:
    return endpoint.id.lower()


def _access(endpoint: Endpoint) -> str:
    if isinstance(endpoint.access, Right):
        return f"`{endpoint.access.value}`"
    return _AUDIENCES[endpoint.access]


def _operation(endpoint: Endpoint) -> Mapping[str, Any]:
    """Return what the OpenAPI document says of a route, also of those that it leaves out."""
    described: Any = openapi_document(
        [replace(endpoint, root=Root.BASE_PATH, selector=None)],
        base_path="",
        scheme=None if endpoint.access is Audience.PUBLIC else "bearer",
    )
    operation: Mapping[str, Any] = described["paths"][endpoint.path][endpoint.method.lower()]
    return operation


def _section(endpoint: Endpoint) -> str:
    operation = _operation(endpoint)
    parts = [
        f"## `{endpoint.method} {_path(endpoint)}` {{: #{_anchor(endpoint)} }}",
        f"{operation['summary']} Needs: {_access(endpoint)}. Its `operationId`: `{endpoint.id}`.",
    ]
    if operation["parameters"]:
        rows = [_parameter(one) for one in operation["parameters"]]
        parts.append("\n".join(["| parameter | in | values | |", "|---|---|---|---|", *rows]))
    if "requestBody" in operation:
        parts.append(f"Body: {_media_types(operation['requestBody'])}.")
    rows = [_response(status, one) for status, one in operation["responses"].items()]
    parts.append("\n".join(["| status | when | body |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _parameter(parameter: Mapping[str, Any]) -> str:
    needed = ", required" if parameter.get("required") and parameter["in"] != "path" else ""
    text = parameter.get("description", "")
    return f"| `{parameter['name']}` | {parameter['in']}{needed} | {_values(parameter)} | {text} |"


def _values(parameter: Mapping[str, Any]) -> str:
    schema = parameter.get("schema", {})
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    bounds = [
        f"{word} {schema[name]:,}"
        for name, word in (
            ("minimum", "from"),
            ("maximum", "to"),
            ("maxLength", "length up to"),
        )
        if name in schema
    ]
    kind = schema.get("type", "")
    return " ".join([{"string": "text", "boolean": "`true`, `false`"}.get(kind, kind), *bounds])


def _response(status: str, response: Mapping[str, Any]) -> str:
    return f"| {status} | {response['description']} | {_media_types(response)} |"


def _media_types(holder: Mapping[str, Any]) -> str:
    return ", ".join(f"`{one}`" for one in holder.get("content", {}))
