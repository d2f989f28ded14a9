"""The access log: one line for each request."""

import logging
import time
from typing import Any, Final, cast

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from pyfly.config_cli._serving.logs import ACCESS_LOGGER, FIELDS
from pyfly.config_server import REQUEST_NOTES, RequestNotes, identified_request

_LOG: Final = logging.getLogger(ACCESS_LOGGER)
_MAX_PATH: Final = 1_024


def with_access_log(app: ASGIApp) -> ASGIApp:
    """Return an application that logs every request after its answer.

    A line has the client, as a trusted proxy names it, method and path, status, bytes of the body,
    seconds, the principal and the id of the request. It has no query: some clients put secrets
    there.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        untyped = cast(
            "dict[str, Any]", scope
        )  # its type is not that of a scope as servers pass it
        if untyped["type"] != "http":
            await app(scope, receive, send)
            return
        started, status, size = time.perf_counter(), 0, 0
        notes = RequestNotes()
        untyped["extensions"] = {**(untyped.get("extensions") or {}), REQUEST_NOTES: notes}

        async def count(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        with identified_request(untyped["headers"]):
            try:
                await app(scope, receive, count)
            finally:
                seconds = time.perf_counter() - started
                _log(untyped, notes, status=status, size=size, seconds=seconds)

    return answer


def _log(
    scope: dict[str, Any], notes: RequestNotes, *, status: int, size: int, seconds: float
) -> None:
    client = notes.client or (scope["client"][0] if scope.get("client") else "-")
    path = scope["raw_path"][:_MAX_PATH].decode("ascii", "backslashreplace")
    principal = notes.principal
    fields = {
        "client": client,
        "method": scope["method"],
        "path": path,
        "status": status,
        "bytes": size,
        "seconds": round(seconds, 6),
        "principal": principal,
    }
    _LOG.info(
        "%s %s %s %d %d %.6f %s",
        *(client, scope["method"], ascii(path), status, size, seconds),
        "-" if principal is None else ascii(principal),
        extra={FIELDS: fields},
    )
