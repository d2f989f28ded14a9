"""`GET /_changes`: what has changed in the stores since an earlier call, with waiting."""

import base64
import json
import time
from dataclasses import dataclass
from typing import Final, cast

from pyfly.config_core import JsonValue, UnsupportedOperationError
from pyfly.config_server.access import Principal, Right
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.composition.visible_changes import visible_changes
from pyfly.config_server.formats.documents import name_document
from pyfly.config_server.http.authorization import check_anywhere, right_on_rows
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.document_handler import hold, waited_headers
from pyfly.config_server.http.endpoint import Endpoint, Result
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpResponse
from pyfly.config_server.http.negotiation import select_media_type
from pyfly.config_server.http.parameters import PREFER, Parameter, invalid_query
from pyfly.config_server.http.preferences import wait_of
from pyfly.config_server.http.responses import JSON, json_response
from pyfly.config_server.http.results import READ_ERRORS
from pyfly.config_server.http.schemas import TEXT_SCHEMA, Schema, list_of, object_of
from pyfly.config_server.live import ANY_CHANGE
from pyfly.config_server.storage import (
    BundleChange,
    Change,
    LabelChange,
    ResourceChange,
    SupportsChanges,
    ability,
)

__all__ = ["ENDPOINTS"]

_LONGEST_CURSOR: Final = 8_192
"""As long as a query may be: enough for some 85 stores with a digest as their cursor."""


async def _changes(context: RequestContext) -> HttpResponse:
    """Return the present cursor, and the changes since the cursor of the request.

    With `Prefer: wait` a response without changes is held until something changes.
    """
    select_media_type(context.request, JSON)
    stores = _stores(context.server)
    cursors = context.value(_CURSOR, None)
    if cursors is not None and len(cursors) != len(stores):
        raise _invalid_cursor()
    live, granted = context.live, wait_of(context.request)
    if live is not None:
        live.start()
    batches = 0 if live is None else live.batches
    found = await _since(stores, cursors, context.principal)
    if live is None or granted is None or cursors is None:
        return json_response(found.document, status=200)
    end = time.monotonic() + granted
    while not found.changes:
        left = end - time.monotonic()
        if live.batches == batches and left > 0:
            await hold(live, ANY_CHANGE, b"", context.request, seconds=left)
        if live.batches == batches:  # the time is over, or the client has left
            break
        batches = live.batches
        found = await _since(stores, found.cursors, await _inspector(context))
    return json_response(found.document, status=200, headers=waited_headers(live, granted))


async def _inspector(context: RequestContext) -> Principal:
    """Return the principal as it is now: its rules may have changed while it waited.

    Raises:
        HttpError: 401 or 403; it may not inspect anything any more.
    """
    principal = await context.authenticate()
    check_anywhere(principal, Right.INSPECT)
    return principal


def _stores(server: ConfigServer) -> list[SupportsChanges]:
    """Return the stores.

    Raises:
        UnsupportedOperationError: One of them cannot list its changes.
    """
    stores: list[SupportsChanges] = []
    for backend in server.backends:
        store = ability(backend, SupportsChanges)
        if store is None:
            raise UnsupportedOperationError(type(backend).__name__, "a list of changes")
        stores.append(store)
    return stores


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The changes that a principal may see."""

    cursors: list[str]
    """The cursor of each store."""
    changes: list[Change]
    """The highest store first."""

    @property
    def document(self) -> dict[str, JsonValue]:
        """The body of the response."""
        return {"cursor": _encoded(self.cursors), "changes": [*map(_document, self.changes)]}


async def _since(
    stores: list[SupportsChanges], cursors: list[str] | None, principal: Principal
) -> _Found:
    """Return the cursors of all stores, and the changes that a principal may see."""
    found: list[str] = []
    changes: list[Change] = []
    for position, store in enumerate(stores):
        batch = await store.changes_since(None if cursors is None else cursors[position])
        found.append(batch.cursor)
        changes += await visible_changes(store, batch.changes, principal)
    return _Found(cursors=found, changes=changes)


def _document(change: Change) -> JsonValue:
    match change:
        case BundleChange(key=key):
            return {"kind": "bundle", **name_document(key)}
        case ResourceChange(label=label, path=path):
            return {"kind": "file", "label": label, "path": path}
        case LabelChange(label=label):
            return {"kind": "label", "label": label}
        case _:
            return {"kind": "everything"}


def _encoded(cursors: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(cursors).encode()).decode().rstrip("=")


def _parse_cursor(text: str) -> list[str]:
    try:
        padded = text[:_LONGEST_CURSOR] + "=" * (-len(text) % 4)
        found: object = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:  # not base64, not UTF-8, not JSON
        raise _invalid_cursor() from error
    if not isinstance(found, list):
        raise _invalid_cursor()
    items = cast("list[object]", found)
    cursors = [one for one in items if isinstance(one, str)]
    if len(cursors) != len(items):
        raise _invalid_cursor()
    return cursors


def _invalid_cursor() -> HttpError:
    return invalid_query("invalid cursor; start again without one")


_CURSOR: Final[Parameter[list[str] | None]] = Parameter(
    name="cursor",
    place="query",
    description="`cursor` of an earlier response. Without it there are no changes, only a cursor.",
    schema={"type": "string"},
    parse=_parse_cursor,
)
_CHANGES: Final = Schema(
    name="Changes",
    document=object_of(
        ("cursor", "changes"),
        cursor=TEXT_SCHEMA,
        changes=list_of(
            object_of(
                ("kind",),
                kind={"enum": ["bundle", "file", "label", "everything"]},
                application=TEXT_SCHEMA,
                profile=TEXT_SCHEMA,
                label=TEXT_SCHEMA,
                path=TEXT_SCHEMA,
            )
        ),
    ),
)

ENDPOINTS: Final = (
    Endpoint(
        id="changes",
        path="/_changes",
        access=Right.INSPECT,
        check=right_on_rows,
        handler=_changes,
        summary="The changes of the stores since a cursor, without values.",
        parameters=(_CURSOR, PREFER),
        results=(Result(status=200, description="The changes.", content={JSON: _CHANGES}),),
        errors={**READ_ERRORS, 501: "A store cannot list its changes."},
    ),
)
