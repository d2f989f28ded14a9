"""`/{name}/{profiles}/{label}/{path}`: plain files, with placeholders replaced in texts."""

import re
from dataclasses import replace
from functools import partial
from typing import Final

from pyfly.config_core import ConfigFormatError, Environment, resolve_placeholders
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.access.principal import Right
from pyfly.config_server.composition.budgets import run
from pyfly.config_server.composition.rendering import values_of
from pyfly.config_server.encryption.prefix import CIPHER_MARK
from pyfly.config_server.http.charsets import decode
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Endpoint
from pyfly.config_server.http.endpoints.environment import begins_with_application
from pyfly.config_server.http.endpoints.flattened import PLACEHOLDER, is_long_work
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpResponse
from pyfly.config_server.http.negotiation import asks_for, elements, preferred
from pyfly.config_server.http.parameters import (
    LABELS,
    NAME,
    PROFILES,
    RESOLVE_PLACEHOLDERS,
    text_parameter,
)
from pyfly.config_server.http.responses import TEXT, document_response, empty_response
from pyfly.config_server.http.results import RENDER_ERRORS, readable
from pyfly.config_server.http.routing import split_flattened
from pyfly.config_server.http.schemas import TEXT_SCHEMA

__all__ = ["ENDPOINTS"]

_BINARY: Final = "application/octet-stream"
_CONCRETE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")  # RFC 6838
_LARGE: Final = 16_384
"""In bytes. Larger files are processed in a thread."""


async def _resource(context: RequestContext) -> HttpResponse:
    """Return a file; 404 without a body if there is none."""
    request, names, path = context.request, context.names, context.parameters["path"]
    resolve = context.value(RESOLVE_PLACEHOLDERS, default=True)
    composition = await context.server.compose_resource(*names, path)
    found, environment = composition.resource, composition.environment
    if found is None or _is_bundle(path):
        return empty_response(404)
    accept = request.header(b"accept")
    if asks_for(accept, _BINARY):
        send = partial(document_response, request, found.content, _BINARY, modified=found.modified)
        return await run(send, large=len(found.content) > MAX_DOCUMENT_BYTES)

    def respond() -> HttpResponse:
        text, depends = _text(context, found.content, environment=environment if resolve else None)
        wanted = preferred(accept)
        media_type = f"{wanted};charset=UTF-8" if _CONCRETE.fullmatch(wanted) else TEXT
        modified = None if depends else found.modified
        return document_response(request, text.encode(), media_type, modified=modified)

    large = len(found.content) > _LARGE or CIPHER_MARK.encode() in found.content
    placeholders = resolve and PLACEHOLDER.encode() in found.content
    large = large or (placeholders and is_long_work(environment, resolve=True))
    return await run(respond, large=large)


def _text(
    context: RequestContext, content: bytes, *, environment: Environment | None
) -> tuple[str, bool]:
    """Return the text of a file, and true if it depends on more than the file.

    Args:
        context: The request may name the charset of the file. The suffix of the path selects the
            format for cipher texts.
        content: The bytes of the file.
        environment: The document for placeholders; `None` keeps placeholders.
    """
    stored = text = _decoded(content, context.request.header(b"accept-charset"))
    if environment is not None:
        try:
            text = resolve_placeholders(text, values_of(environment))
        except ConfigFormatError as error:
            raise HttpError(400, "not-renderable", str(error)) from error
    text = context.server.options.encryption.decrypt_resource(context.parameters["path"], text)
    filled = environment is not None and PLACEHOLDER in stored
    return text, filled or text != stored


def _is_bundle(path: str) -> bool:
    return "/" not in path and split_flattened(path) is not None


def _decoded(content: bytes, accept: bytes | None) -> str:
    """Return the text in the first known charset of `Accept-Charset`, or in UTF-8."""
    for element in elements((accept or b"").decode("latin-1")):
        text = decode(content, element.partition(";")[0])
        if text is not None:
            return text
    return content.decode("utf-8", "replace")


_PATH: Final = text_parameter("path", "path", "Path of a plain file, with slashes.")

_AT_LABEL: Final = Endpoint(
    id="resource",
    path="/{name}/{profiles}/{label}/{path}",
    access=Right.FILES,
    handler=_resource,
    summary="A plain file at a label, with placeholders replaced in texts.",
    parameters=(NAME, PROFILES, LABELS, _PATH, RESOLVE_PLACEHOLDERS),
    results=readable({"*/*": TEXT_SCHEMA}),
    errors=RENDER_ERRORS,
    accepts=begins_with_application,
)

_AT_DEFAULT_LABEL: Final = replace(
    _AT_LABEL,
    id="resourceAtDefaultLabel",
    path="/{name}/{profiles}/{path}",
    summary="A plain file at the default label.",
    parameters=(NAME, PROFILES, _PATH, RESOLVE_PLACEHOLDERS),
    selector="useDefaultLabel",
)
"""It has the same path as the document at a label, so it must come first in the list."""

ENDPOINTS: Final = (_AT_DEFAULT_LABEL, _AT_LABEL)
