"""`GET /_bundles`: the keys and versions of the stored bundles."""

import time
from typing import Final

from pyfly.config_core import ConfigKey, JsonValue
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS
from pyfly.config_server.access import Right
from pyfly.config_server.formats.documents import encode_json, entry_document
from pyfly.config_server.http.authorization import right_on_rows
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.cursors import KEY_CURSOR, encode_key_cursor
from pyfly.config_server.http.endpoint import Endpoint
from pyfly.config_server.http.endpoints.bundles import BUNDLE_NAMES
from pyfly.config_server.http.messages import HttpResponse
from pyfly.config_server.http.negotiation import select_media_type
from pyfly.config_server.http.parameters import LIMIT, only
from pyfly.config_server.http.responses import JSON, document_response
from pyfly.config_server.http.results import READ_ERRORS, readable
from pyfly.config_server.http.schemas import NEXT_PAGE, Schema, list_of, object_of

__all__ = ["ENDPOINTS", "PAGE_SECONDS"]

PAGE_SECONDS: Final = 1.0
"""A page of a listing ends after this time, even if it has fewer rows than requested."""
_APPLICATION: Final = only("application")
_PROFILE: Final = only("profile")
_LABEL: Final = only("label")


async def _list(context: RequestContext) -> HttpResponse:
    """Return one page of keys and versions."""
    select_media_type(context.request, JSON)
    rows, last = await _page(context)
    document: dict[str, JsonValue] = {
        "bundles": rows,
        "next": None if last is None else encode_key_cursor(last),
    }
    return document_response(context.request, encode_json(document), JSON)


async def _page(context: RequestContext) -> tuple[list[JsonValue], ConfigKey | None]:
    """Return the rows of a page, and its last key if there are more rows.

    A store may have to read each bundle for its version, so a page is limited in time, too. It ends
    after a bundle that the principal may see, because the cursor names it.
    """
    application, profile = context.value(_APPLICATION, ""), context.value(_PROFILE, "")
    label = context.value(_LABEL, "") or None
    limit = context.value(LIMIT, DEFAULT_PAGE_ROWS)
    deadline = time.monotonic() + PAGE_SECONDS
    rows: list[JsonValue] = []
    previous: ConfigKey | None = None
    after = context.value(KEY_CURSOR, None)
    async for entry in context.server.bundles.entries(label, after=after):
        key = entry.key
        if not context.principal.may(Right.INSPECT, key):
            continue
        wanted = application in {"", key.application} and profile in {"", key.profile}
        is_full = wanted and len(rows) == limit
        if previous is not None and (is_full or time.monotonic() > deadline):
            return rows, previous
        previous = key
        if wanted:
            rows.append(entry_document(entry))
    return rows, None


_PAGE: Final = Schema(
    name="Page",
    document=object_of(
        ("bundles", "next"),
        bundles=list_of(
            object_of(
                tuple(BUNDLE_NAMES),
                **BUNDLE_NAMES,
                error={"type": "string", "description": "The reason why it cannot be read."},
            )
        ),
        next=NEXT_PAGE,
    ),
)

ENDPOINTS: Final = (
    Endpoint(
        id="listBundles",
        path="/_bundles",
        access=Right.INSPECT,
        check=right_on_rows,
        handler=_list,
        summary="The names and versions of the stored bundles, without values.",
        parameters=(_APPLICATION, _PROFILE, _LABEL, LIMIT, KEY_CURSOR),
        results=readable({JSON: _PAGE}),
        errors=READ_ERRORS,
    ),
)
