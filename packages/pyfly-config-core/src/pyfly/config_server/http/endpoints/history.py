"""`/_bundles/…/history` and `/_bundles/…/rollback`: old versions of a bundle."""

from dataclasses import replace
from functools import partial
from typing import Final

from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS
from pyfly.config_server.access import Right
from pyfly.config_server.composition.budgets import run
from pyfly.config_server.formats.documents import encode_json, version_document
from pyfly.config_server.formats.text import parse_mapping
from pyfly.config_server.http.authorization import bundle_right
from pyfly.config_server.http.bodies import LARGE_BODY, media_type, read_utf8, unsupported_type
from pyfly.config_server.http.condition_headers import IF_MATCH, required_condition
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.cursors import VERSION_CURSOR, encode_version_cursor
from pyfly.config_server.http.document_handler import composed
from pyfly.config_server.http.endpoint import Body, Endpoint
from pyfly.config_server.http.endpoints.bundles import (
    READ_BUNDLE,
    STORED,
    bundle_response,
    invalid_properties,
    telling_remarks,
    written_response,
)
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpResponse
from pyfly.config_server.http.negotiation import select_media_type
from pyfly.config_server.http.parameters import LIMIT, text_parameter
from pyfly.config_server.http.responses import JSON, representation_response
from pyfly.config_server.http.results import BODY_ERRORS, READ_ERRORS, WRITE_ERRORS, readable
from pyfly.config_server.http.schemas import (
    DATE_TIME,
    NEXT_PAGE,
    TEXT_OR_NULL,
    TEXT_SCHEMA,
    Schema,
    list_of,
    object_of,
)
from pyfly.config_server.http.version_message import MESSAGE, version_message

__all__ = ["ENDPOINTS"]


async def _history(context: RequestContext) -> HttpResponse:
    """Return one page of the changes of a bundle, newest first."""
    select_media_type(context.request, JSON)
    limit = context.value(LIMIT, DEFAULT_PAGE_ROWS)
    versions = context.server.bundles.versions(
        context.key, most=limit + 1, before=context.value(VERSION_CURSOR, None)
    )
    found = [version async for version in versions]
    rows: list[JsonValue] = [version_document(row) for row in found[:limit]]
    is_last = len(found) <= limit
    document: dict[str, JsonValue] = {
        "versions": rows,
        "next": None if is_last else encode_version_cursor(found[limit - 1].version),
    }
    body = encode_json(document)
    advice = "ask for fewer versions with ?limit="
    return representation_response(context.request, composed(body, JSON, advice=advice))


async def _read_version(context: RequestContext) -> HttpResponse:
    select_media_type(context.request, JSON)
    version = context.parameters["version"]
    source = await context.server.bundles.load_version(context.key, version)
    return await bundle_response(context, source)


async def _roll_back(context: RequestContext) -> HttpResponse:
    """Store the content of an old version again."""
    key, request = context.key, context.request
    expected, message = required_condition(request), version_message(request)
    body = await read_utf8(request)
    if media_type(request) != JSON:
        raise unsupported_type(JSON)
    try:
        parse = partial(parse_mapping, body, suffix=".json")
        wanted: object = (await run(parse, large=len(body) > LARGE_BODY)).get("version")
    except ConfigFormatError as error:
        raise invalid_properties(error) from error
    if not isinstance(wanted, str):
        raise HttpError(422, "invalid-rollback", 'send the body {"version": "<version>"}')
    version = await context.server.bundles.rollback(
        key, version=wanted, expected=expected, author=context.principal.name, message=message
    )
    return written_response(key, version, status=200)


_VERSIONS: Final = Schema(
    name="Versions",
    document=object_of(
        ("versions", "next"),
        versions=list_of(
            object_of(
                ("version", "savedAt", "author", "message", "deleted"),
                version=TEXT_SCHEMA,
                savedAt=DATE_TIME,
                author=TEXT_OR_NULL,
                message=TEXT_OR_NULL,
                deleted={"type": "boolean"},
            )
        ),
        next=NEXT_PAGE,
    ),
)
_ROLLBACK: Final = Schema(name="Rollback", document=object_of(("version",), version=TEXT_SCHEMA))
_VERSION: Final = text_parameter("version", "path", "A version from the history.")
_HISTORY_ERRORS: Final = {**READ_ERRORS, 501: "The store has no history."}

_LIST_VERSIONS: Final = Endpoint(
    id="listVersions",
    path=READ_BUNDLE.path + "/history",
    access=Right.INSPECT,
    check=bundle_right,
    handler=_history,
    summary="The changes of a bundle, newest first.",
    parameters=(*READ_BUNDLE.parameters, LIMIT, VERSION_CURSOR),
    results=readable({JSON: _VERSIONS}),
    errors=_HISTORY_ERRORS,
)
_READ_VERSION: Final = replace(
    READ_BUNDLE,
    id="readVersion",
    path=_LIST_VERSIONS.path + "/{version}",
    handler=_read_version,
    summary="A bundle as it was at a version.",
    parameters=(*READ_BUNDLE.parameters, _VERSION),
    errors=_HISTORY_ERRORS,
)
_ROLL_BACK_BUNDLE: Final = Endpoint(
    id="rollbackBundle",
    path=READ_BUNDLE.path + "/rollback",
    method="POST",
    access=Right.WRITE,
    check=bundle_right,
    handler=telling_remarks(_roll_back),
    summary="Stores the content of an old version again.",
    parameters=(*READ_BUNDLE.parameters, IF_MATCH, MESSAGE),
    body=Body(content={JSON: _ROLLBACK}),
    results=(STORED,),
    errors={**WRITE_ERRORS, **BODY_ERRORS, 404: "There is no such version."},
)


ENDPOINTS: Final = (_LIST_VERSIONS, _READ_VERSION, _ROLL_BACK_BUNDLE)
