"""`/_bundles/…`: reading stored bundles, and writing and removing them under conditions."""

from functools import partial
from typing import Final

from pyfly.config_core import BackendUnavailableError, ConfigFormatError, ConfigKey, JsonValue
from pyfly.config_server.access import Right
from pyfly.config_server.composition.budgets import is_large, run
from pyfly.config_server.formats.documents import bundle_document, encode_json, name_document
from pyfly.config_server.formats.text import parse_mapping
from pyfly.config_server.http.authorization import bundle_right
from pyfly.config_server.http.bodies import LARGE_BODY, media_type, read_utf8, unsupported_type
from pyfly.config_server.http.condition_headers import (
    IF_MATCH,
    IF_NONE_MATCH,
    entity_tag,
    required_condition,
)
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Body, Endpoint, Handler, Result
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import Headers, HttpResponse
from pyfly.config_server.http.negotiation import select_media_type
from pyfly.config_server.http.parameters import APPLICATION, LABEL, PROFILE
from pyfly.config_server.http.responses import JSON, document_response, json_response
from pyfly.config_server.http.results import BODY_ERRORS, READ_ERRORS, WRITE_ERRORS, readable
from pyfly.config_server.http.schemas import (
    ANY_OBJECT,
    TEXT_OR_NULL,
    TEXT_SCHEMA,
    Schema,
    list_of,
    object_of,
)
from pyfly.config_server.http.version_message import MESSAGE, version_message
from pyfly.config_server.live.standby_reads import standby_reads
from pyfly.config_server.storage import (
    ABSENT,
    ConfigSource,
    noted_save_remarks,
    save_remarks,
)

__all__ = [
    "BUNDLE_NAMES",
    "CREATED",
    "ENDPOINTS",
    "READ_BUNDLE",
    "STORED",
    "bundle_response",
    "created_response",
    "invalid_properties",
    "telling_remarks",
    "written_response",
]

_SUFFIXES: Final = {
    JSON: ".json",
    "application/yaml": ".yaml",
    "application/x-yaml": ".yaml",
    "text/yaml": ".yaml",
    "text/x-yaml": ".yaml",
}


async def _read(context: RequestContext) -> HttpResponse:
    """Return a stored bundle. What a standby has is not enough: it may be edited and sent back."""
    select_media_type(context.request, JSON)
    with standby_reads() as reads:
        source = await context.server.bundles.load(context.key)
    if reads.since is not None:
        raise BackendUnavailableError("the store cannot be reached; only documents are served")
    return await bundle_response(context, source)


async def _write(context: RequestContext) -> HttpResponse:
    """Create or replace a bundle."""
    request, key = context.request, context.key
    expected, message = required_condition(request), version_message(request)
    suffix = _SUFFIXES.get(media_type(request))
    if suffix is None:
        raise unsupported_type(*_SUFFIXES)
    body = await read_utf8(request)
    try:
        source = await run(partial(_parsed, key, body, suffix), large=len(body) > LARGE_BODY)
        version = await context.server.bundles.commit(
            source, expected=expected, author=context.principal.name, message=message
        )
    except ConfigFormatError as error:
        if error.where is not None:  # about a stored file, not about the body
            raise
        raise invalid_properties(error) from error
    if expected is not ABSENT:
        return written_response(key, version, status=200)
    return created_response(context, version)


def telling_remarks(handler: Handler) -> Handler:
    """Return a handler whose `written_response` has the remarks of the store."""

    async def handle(context: RequestContext) -> HttpResponse:
        with save_remarks():
            return await handler(context)

    return handle


async def _delete(context: RequestContext) -> HttpResponse:
    key, request = context.key, context.request
    await context.server.bundles.delete(
        key,
        expected=required_condition(request),
        author=context.principal.name,
        message=version_message(request),
    )
    return HttpResponse(status=204)


def _parsed(key: ConfigKey, body: bytes, suffix: str) -> ConfigSource:
    return ConfigSource(
        application=key.application,
        profile=key.profile,
        label=key.label,
        properties=parse_mapping(body, suffix=suffix),
    )


async def bundle_response(context: RequestContext, source: ConfigSource) -> HttpResponse:
    """Return a stored bundle with its version as the entity tag."""
    tag = None if source.version is None else entity_tag(source.version)

    def respond() -> HttpResponse:
        body = encode_json(bundle_document(source))
        return document_response(context.request, body, JSON, entity_tag=tag)

    return await run(respond, large=is_large([source.properties]))


def written_response(
    key: ConfigKey, version: str, *, status: int, headers: Headers = ()
) -> HttpResponse:
    """Return the name and the new version of a written bundle, and what the store remarked."""
    document = name_document(key) | {"version": version}
    if remarks := noted_save_remarks():
        document["remarks"] = [*remarks]
    return json_response(
        document,
        status=status,
        headers=((b"etag", entity_tag(version)), *headers),
    )


def created_response(context: RequestContext, version: str) -> HttpResponse:
    """Return the name, the version and the location of a bundle that is new."""
    location = (b"location", context.request.root_path + context.request.raw_path)
    return written_response(context.key, version, status=201, headers=(location,))


def invalid_properties(error: ConfigFormatError) -> HttpError:
    """Return the error for a body that cannot be stored."""
    return HttpError(422, "invalid-properties", str(error))


# --- the endpoints ------------------------------------------------------------------------------

BUNDLE_NAMES: Final[dict[str, JsonValue]] = {
    "application": TEXT_SCHEMA,
    "profile": TEXT_SCHEMA,
    "label": TEXT_SCHEMA,
    "version": TEXT_OR_NULL,
}
_BUNDLE: Final = Schema(
    name="Bundle",
    document=object_of((*BUNDLE_NAMES, "properties"), **BUNDLE_NAMES, properties=ANY_OBJECT),
)
_WRITTEN: Final = Schema(
    name="Written",
    document=object_of(tuple(BUNDLE_NAMES), **BUNDLE_NAMES, remarks=list_of(TEXT_SCHEMA)),
)
STORED: Final = Result(
    status=200, description="Stored; the ETag is the new version.", content={JSON: _WRITTEN}
)
CREATED: Final = Result(
    status=201, description="Created; the ETag is its version.", content={JSON: _WRITTEN}
)
READ_BUNDLE: Final = Endpoint(
    id="readBundle",
    path="/_bundles/{application}/{profile}/{label}",
    access=Right.INSPECT,
    check=bundle_right,
    handler=_read,
    summary="One stored bundle.",
    parameters=(APPLICATION, PROFILE, LABEL),
    results=readable({JSON: _BUNDLE}),
    errors=READ_ERRORS,
)
_WRITE_BUNDLE: Final = Endpoint(
    id="writeBundle",
    path=READ_BUNDLE.path,
    method="PUT",
    access=Right.WRITE,
    check=bundle_right,
    handler=telling_remarks(_write),
    summary="Stores a complete bundle, under a condition.",
    parameters=(*READ_BUNDLE.parameters, IF_MATCH, IF_NONE_MATCH, MESSAGE),
    body=Body(content={JSON: ANY_OBJECT, "application/yaml": ANY_OBJECT}),
    results=(STORED, CREATED),
    errors={**WRITE_ERRORS, **BODY_ERRORS},
)
_DELETE_BUNDLE: Final = Endpoint(
    id="deleteBundle",
    path=READ_BUNDLE.path,
    method="DELETE",
    access=Right.WRITE,
    check=bundle_right,
    handler=_delete,
    summary="Removes a bundle, under a condition.",
    parameters=(*READ_BUNDLE.parameters, IF_MATCH, MESSAGE),
    results=(Result(status=204, description="Removed."),),
    errors=WRITE_ERRORS,
)
ENDPOINTS: Final = (READ_BUNDLE, _WRITE_BUNDLE, _DELETE_BUNDLE)
