"""`PATCH /_bundles/…`: changes of stored bundles, as a merge patch or a JSON patch."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigError,
    ConfigFormatError,
    JsonValue,
)
from pyfly.config_server.access import Right
from pyfly.config_server.composition.stored_bundles import Edit
from pyfly.config_server.formats.json import parse_json
from pyfly.config_server.formats.patches import (
    PatchOperation,
    apply_operations,
    merge_patch,
    parse_operations,
)
from pyfly.config_server.http.authorization import bundle_right
from pyfly.config_server.http.bodies import media_type, read_utf8, unsupported_type
from pyfly.config_server.http.condition_headers import IF_MATCH, IF_NONE_MATCH, required_condition
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Body, Endpoint
from pyfly.config_server.http.endpoints.bundles import (
    CREATED,
    READ_BUNDLE,
    STORED,
    created_response,
    invalid_properties,
    telling_remarks,
    written_response,
)
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpResponse
from pyfly.config_server.http.responses import accept_patch
from pyfly.config_server.http.results import BODY_ERRORS, WRITE_ERRORS
from pyfly.config_server.http.schemas import (
    ANY_OBJECT,
    TEXT_SCHEMA,
    Schema,
    list_of,
    object_of,
)
from pyfly.config_server.http.version_message import MESSAGE, version_message
from pyfly.config_server.live.standby_reads import standby_reads
from pyfly.config_server.storage import ABSENT, Expected

__all__ = ["ENDPOINTS"]

_MERGE_PATCH: Final = "application/merge-patch+json"
_JSON_PATCH: Final = "application/json-patch+json"
_TYPES: Final = (_MERGE_PATCH, _JSON_PATCH)


async def _patch(context: RequestContext) -> HttpResponse:
    """Change the version that the condition names. The change is not tried again."""
    request, key = context.request, context.key
    expected, message = required_condition(request), version_message(request)
    kind = media_type(request)
    if kind not in _TYPES:
        raise unsupported_type(*_TYPES, headers=(accept_patch(_TYPES),))
    body = await read_utf8(request)
    try:
        edit, compares = await asyncio.to_thread(_edit, body, kind)
    except ConfigFormatError as error:
        raise HttpError(400, "invalid-patch", str(error)) from error
    if compares:  # the answer tells what is stored
        await bundle_right(context, Right.INSPECT)
    try:
        version = await _change(context, edit, expected, message)
    except ConfigFormatError as error:
        if error.where is not None:  # about a stored file, not about the patch
            raise
        raise invalid_properties(error) from error
    if expected is ABSENT:
        return created_response(context, version)
    return written_response(key, version, status=200)


async def _change(
    context: RequestContext, edit: Edit, expected: Expected, message: str | None
) -> str:
    """Change the bundle; return its version.

    Raises:
        BackendUnavailableError: The store cannot be reached, even if a standby has the bundle.
        ConfigError: As `Bundles.change`.
    """
    with standby_reads() as reads:
        try:
            return await context.server.bundles.change(
                context.key,
                edit,
                expected=expected,
                author=context.principal.name,
                message=message,
            )
        except ConfigError as error:
            if reads.since is None:
                raise
            raise BackendUnavailableError("the store cannot be reached") from error


def _edit(body: bytes, kind: str) -> tuple[Edit, bool]:
    """Return the change that a body describes, and true if it compares values.

    Raises:
        ConfigFormatError: The body is not a patch of this media type.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ConfigFormatError(f"not UTF-8 at byte {error.start}") from error
    if not text.strip():
        raise ConfigFormatError("the body is empty")
    patch = parse_json(text)
    if kind == _MERGE_PATCH:
        return partial(_merged, patch=patch), False
    operations = parse_operations(patch)
    return partial(_operated, operations=operations), any(one.name == "test" for one in operations)


def _merged(tree: Mapping[str, JsonValue], *, patch: JsonValue) -> Mapping[str, JsonValue]:
    return _mapping(merge_patch(dict(tree), patch))


def _operated(
    tree: Mapping[str, JsonValue], *, operations: Sequence[PatchOperation]
) -> Mapping[str, JsonValue]:
    return _mapping(apply_operations(tree, operations))


def _mapping(value: JsonValue) -> Mapping[str, JsonValue]:
    if not isinstance(value, dict):
        raise ConfigFormatError("the result is not a mapping of keys to values")
    return value


_OPERATION: Final = object_of(
    ("op", "path"),
    op={"enum": ["add", "remove", "replace", "move", "copy", "test"]},
    path=TEXT_SCHEMA,
    value={},
    **{"from": TEXT_SCHEMA},
)
_JSON_PATCH_SCHEMA: Final = Schema(name="JsonPatch", document=list_of(_OPERATION))
_PATCH_BUNDLE: Final = Endpoint(
    id="patchBundle",
    path=READ_BUNDLE.path,
    method="PATCH",
    access=Right.WRITE,
    check=bundle_right,
    handler=telling_remarks(_patch),
    summary="Changes a part of a bundle, under a condition.",
    parameters=(*READ_BUNDLE.parameters, IF_MATCH, IF_NONE_MATCH, MESSAGE),
    body=Body(content={_MERGE_PATCH: ANY_OBJECT, _JSON_PATCH: _JSON_PATCH_SCHEMA}),
    results=(STORED, CREATED),
    errors={
        **WRITE_ERRORS,
        **BODY_ERRORS,
        400: "The patch is malformed, or a name, a condition or a message is not acceptable.",
        409: "The patch does not fit what is stored, a `test` of it fails, or there is a file "
        "that must not be rewritten.",
        415: "The media type is not one of those in the Accept-Patch header.",
        422: "The result cannot be stored.",
    },
)
ENDPOINTS: Final = (_PATCH_BUNDLE,)
