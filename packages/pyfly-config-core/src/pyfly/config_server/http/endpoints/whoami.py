"""`GET /_whoami`: the principal of a request, with its rules."""

from typing import Final

from pyfly.config_core import JsonValue
from pyfly.config_server.access import Right, Rule
from pyfly.config_server.formats.documents import encode_json
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Audience, Endpoint
from pyfly.config_server.http.messages import HttpResponse
from pyfly.config_server.http.negotiation import select_media_type
from pyfly.config_server.http.responses import JSON, document_response
from pyfly.config_server.http.results import READ_ERRORS, readable
from pyfly.config_server.http.schemas import (
    TEXT_OR_NULL,
    TEXT_SCHEMA,
    Schema,
    list_of,
    object_of,
)

__all__ = ["ENDPOINTS"]


async def _tell(context: RequestContext) -> HttpResponse:
    select_media_type(context.request, JSON)
    principal = context.principal
    document: dict[str, JsonValue] = {
        "name": principal.name,
        "rules": [_rule(rule) for rule in principal.rules],
    }
    return document_response(context.request, encode_json(document), JSON)


def _rule(rule: Rule) -> dict[str, JsonValue]:
    """Return a rule as an access file has it."""
    document: dict[str, JsonValue] = {
        "rights": [right.value for right in Right if right in rule.rights],
        "on": str(rule.on),
    }
    return document if rule.files is None else document | {"files": str(rule.files)}


_PRINCIPAL: Final = Schema(
    name="Principal",
    document=object_of(
        ("name", "rules"),
        name=TEXT_OR_NULL,
        rules=list_of(
            object_of(
                ("rights", "on"),
                rights=list_of({"enum": [right.value for right in Right]}),
                on=TEXT_SCHEMA,
                files=TEXT_SCHEMA,
            )
        ),
    ),
)

ENDPOINTS: Final = (
    Endpoint(
        id="whoami",
        path="/_whoami",
        access=Audience.ANY_PRINCIPAL,
        handler=_tell,
        summary="The name and the rules of the principal of the request.",
        results=readable({JSON: _PRINCIPAL}),
        errors={406: READ_ERRORS[406]},
    ),
)
