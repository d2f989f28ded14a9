"""`POST /monitor`: a provider of repositories says that something was pushed.

The server publishes nothing. The only effect is that it looks at its stores soon.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import parse_qs

from pyfly.config_server.access import ANONYMOUS, Right
from pyfly.config_server.http.bodies import LARGE_BODY, media_type, read_body, unsupported_type
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Audience, Body, Endpoint, Result, Root
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest, HttpResponse
from pyfly.config_server.http.push_events import MAX_PATHS, changed_applications
from pyfly.config_server.http.responses import JSON, json_response
from pyfly.config_server.http.schemas import ANY_OBJECT, TEXT_SCHEMA, list_of, object_of

__all__ = ["ENDPOINTS"]

_FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 2 * MAX_PATHS


async def _monitor(context: RequestContext) -> HttpResponse:
    """Return the names of the applications that may have changed; look at the stores soon."""
    request = context.request
    body = await _admitted_body(context)
    if len(body) > LARGE_BODY:
        names = await asyncio.to_thread(_names, request, body)
    else:
        names = _names(request, body)
    try:
        await context.server.refetch()
    finally:  # a store that is away does not keep the others from being looked at
        if context.live is not None:
            context.live.look_soon()
    return json_response([*names], status=200)


async def _admitted_body(context: RequestContext) -> bytes:
    """Return the body of a request from somebody who knows the secret, or may operate the server.

    Raises:
        HttpError: 403; the sender is nobody like that. Otherwise as `read_body`.
    """
    request, secret = context.request, context.webhook_secret
    if await _may_operate(context):
        return await read_body(request)
    if secret is not None and secret.is_claimed(request):
        body = await read_body(request)
        if secret.admits(request, body):
            return body
        raise HttpError(403, "wrong-signature", "the signature or token is not that of the secret")
    raise HttpError(
        403,
        "forbidden",
        "sign the request with 'monitor-secret' of the server, or send the server's credential",
    )


async def _may_operate(context: RequestContext) -> bool:
    """True if a request carries a credential that may operate the server."""
    try:
        principal = await context.authenticate()
    except HttpError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return False
    return principal is not ANONYMOUS and principal.has(Right.OPERATE)


def _names(request: HttpRequest, body: bytes) -> list[str]:
    kind = media_type(request)
    if kind == _FORM:
        return changed_applications(request, _form(body))
    if kind == JSON or kind.endswith("+json"):
        return changed_applications(request, _object(body))
    raise unsupported_type(JSON, _FORM)


def _form(body: bytes) -> dict[str, object]:
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise HttpError(400, "invalid-form", "the body is not a form, or is too long") from error
    if "path" not in fields:
        message = f"send a form with 'path', or choose {JSON} at the provider"
        raise HttpError(400, "no-path", message)
    return {"path": [*fields["path"]]}


def _object(body: bytes) -> dict[str, object]:
    try:
        document: object = json.loads(body.decode())
    except (ValueError, RecursionError) as error:  # chained: it names no content
        raise HttpError(400, "invalid-json", "the body is not JSON in UTF-8") from error
    if not isinstance(document, dict):
        raise HttpError(400, "invalid-json", "the body must be an object")
    return cast("dict[str, object]", document)  # keys of JSON are texts


ENDPOINTS: Final = (
    Endpoint(
        id="monitor",
        path="/monitor",
        root=Root.HOST,
        method="POST",
        access=Audience.WEBHOOK,
        handler=_monitor,
        summary="Tells that something was pushed: the stores are looked at soon.",
        body=Body(
            content={
                JSON: ANY_OBJECT,
                _FORM: object_of(("path",), path=list_of(TEXT_SCHEMA)),
            }
        ),
        results=(
            Result(
                status=200,
                description="The names of the applications that may have changed.",
                content={JSON: list_of(TEXT_SCHEMA)},
            ),
        ),
        errors={
            400: "The body is not acceptable, or names too many paths.",
            403: "The request is not signed, and its credential does not allow it.",
            408: "The body did not come in time.",
            413: "The body is too large.",
            415: "The media type of the body is not supported.",
            503: "A store cannot be reached; see the Retry-After header.",
        },
    ),
)
