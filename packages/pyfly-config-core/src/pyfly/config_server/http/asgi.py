"""A configuration server as a plain ASGI application, for any framework and any ASGI server.

Mount it in Starlette, FastAPI or Django, or run it alone:

    app = ConfigServerApp(ConfigServer(backend), auth=SharedCredential.bearer(token))

In a mounted application, the paths of the server begin after the prefix of the mount (`root_path`).
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Self, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from pyfly.config_server.audit import Audit
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.http.authentication import Authenticator, BackgroundAuthenticator
from pyfly.config_server.http.controller import Controller
from pyfly.config_server.http.document_handler import waited_headers
from pyfly.config_server.http.health import HealthSettings
from pyfly.config_server.http.hosts import HostPolicy
from pyfly.config_server.http.hot_path import HotPath
from pyfly.config_server.http.messages import MAX_BODY_BYTES, Headers, HttpRequest, HttpResponse
from pyfly.config_server.http.proxies import ProxyPolicy
from pyfly.config_server.http.ready_responses import HotAnswer, KnownRequest
from pyfly.config_server.http.request_notes import REQUEST_NOTES
from pyfly.config_server.http.responses import SECURITY_HEADERS
from pyfly.config_server.http.webhook_secret import WebhookSecret
from pyfly.config_server.live import LiveDocuments, LiveOptions
from pyfly.config_server.live.telemetry import Telemetry

__all__ = [
    "AT_END",
    "MAX_PENDING_BYTES",
    "ConfigServerApp",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "http_request",
]

Scope: TypeAlias = MutableMapping[str, Any]
"""What ASGI says of a connection."""
Message: TypeAlias = MutableMapping[str, Any]
"""An event of ASGI."""
Receive: TypeAlias = Callable[[], Awaitable[Message]]
"""Returns the next event of the client."""
Send: TypeAlias = Callable[[Message], Awaitable[None]]
"""Sends an event to the client."""

_PIECE_BYTES: Final = 65_536
MAX_PENDING_BYTES: Final = 134_217_728
"""The largest number of bytes of large responses that one application holds for slow clients."""

AT_END: Final = "pyfly.at_end"
"""An extension of ASGI that a server may offer: a function as `watching.AtEnd`. A request without
a body is then held without a task that waits for its `http.disconnect`."""
_NONE: Final[dict[str, Any]] = {}

_NO_CLIENT: Final = (None, None)

_BUSY_BODY: Final = b'{"status":503,"error":"Service Unavailable"}'
_BUSY: Final = HttpResponse(
    status=503,
    headers=(
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_BUSY_BODY)).encode()),
        (b"retry-after", b"5"),
        *SECURITY_HEADERS,
    ),
    body=_BUSY_BODY,
)
_LIVE: Final = LiveOptions()
# Unescaped characters of a path (RFC 3986), for ASGI servers that do not send the raw path.
_SAFE: Final = "/:@!$&'()*+,;=-._~"


class ConfigServerApp:
    """Serves a `ConfigServer` as an ASGI application.

    Alone behind an ASGI server, it closes the server at the end of the lifespan. Frameworks do not
    pass their lifespan to mounted applications: write `async with server, app:` in the outer one.

    Unknown paths get 404. If slow clients have not yet read `MAX_PENDING_BYTES` of large
    responses, the next large response is replaced by 503, so that the memory is limited.

    Args:
        server: The server.
        auth: The authenticator, which returns the principal of every request. `None` must be
            given explicitly: the application around this one then controls reading, and writing
            is refused.
        hosts: The policy for `Host` headers. `None` accepts every host.
        health: The settings of `/health/live`, `/health/ready` and `/actuator/health`, which are
            outside of the base path and need no credential. `None` does not serve them.
        live: The options of the live layer, which answers from memory, follows the changes of the
            stores and holds requests until a document changes. `None` leaves it out: every
            request reads the stores.
        telemetry: Counts the responses and renders `/metrics`, which is served where health is.
            `None` counts, and shows nothing.
        webhook_secret: The secret with which providers of repositories sign requests to
            `/monitor`, which is served where health is. `None` accepts only requests with a
            credential there.
        audit: The audit log, which this application closes. `None` records nothing.
        proxies: The proxies whose headers about clients are believed. `None` ignores the headers.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each part
        self,
        server: ConfigServer,
        *,
        auth: Authenticator | None,
        hosts: HostPolicy | None = None,
        health: HealthSettings | None = None,
        live: LiveOptions | None = _LIVE,
        telemetry: Telemetry | None = None,
        webhook_secret: WebhookSecret | None = None,
        audit: Audit | None = None,
        proxies: ProxyPolicy | None = None,
    ) -> None:
        telemetry = telemetry or Telemetry()
        self._counters = telemetry.counters
        self.live: Final = (
            None if live is None else LiveDocuments(server, live, counters=telemetry.counters)
        )
        """The live layer; `None` if it is left out."""
        controller = Controller(
            self.live or server,
            auth=auth,
            hosts=hosts,
            health=health,
            telemetry=telemetry,
            webhook_secret=webhook_secret,
            audit=audit,
            proxies=proxies,
        )
        self._audit = audit
        is_hot = audit is None or not audit.reads
        self._hot = (
            HotPath(self.live, auth=auth, hosts=hosts, proxies=proxies)
            if self.live is not None and is_hot
            else None
        )
        self._server = server
        self._auth = auth if isinstance(auth, BackgroundAuthenticator) else None
        self._handle = controller.handle
        self._below = server.base_path + "/"
        self._exact = controller.root_paths | {server.base_path}
        self._pending_bytes = 0

    def serves(self, scope: Scope) -> bool:
        """True for HTTP requests at or below the base path, and for the paths outside of it."""
        if scope["type"] != "http":
            return False
        path: str = scope["path"]
        root = scope.get("root_path", "").rstrip("/")
        if root and path[len(root) :][:1] in {"/", ""}:
            path = path.removeprefix(root)
        return path.startswith(self._below) or path in self._exact

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or handle the lifespan of the ASGI server."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000, "reason": "HTTP only"})

    async def __aenter__(self) -> Self:
        """Begin to follow the stores."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop following the stores. The server stays open."""
        await self.aclose()

    async def start(self) -> None:
        """Begin to follow the stores and the authenticator's sources.

        Without this call the first request begins it.
        """
        if self.live is not None:
            self.live.start()
        if self._auth is not None:
            self._auth.start()

    def release(self, *, ends_connections: bool = False) -> None:
        """Answer all held requests; hold no more.

        Args:
            ends_connections: True to send `Connection: close` with these responses (HTTP/1.1).
        """
        if self.live is not None:
            self.live.release(ends_connections=ends_connections)

    async def aclose(self) -> None:
        """Stop following the stores and the authenticator's sources; close the audit log.

        The server stays open.
        """
        if self._auth is not None:
            await self._auth.aclose()
        if self.live is not None:
            await self.live.aclose()
        if self._audit is not None:
            await self._audit.aclose()

    def recognize(self, scope: Scope) -> KnownRequest | None:
        """Return what `answer_now` needs to answer a request that was answered before.

        For servers that know requests again by their bytes, before they call the application.
        """
        return None if self._hot is None else self._hot.recognize(scope)

    def answer_now(self, request: KnownRequest) -> bytes | None:
        """Return the body of the response to a request, empty for 304, and count the response.

        Its headers are those of `request.ready`. `None` if the answer, the host or the credential
        has to be looked at: call the application.
        """
        started, hot = time.perf_counter(), self._hot
        body = None if hot is None else hot.answer(request)
        if body is not None:
            seconds = time.perf_counter() - started
            self._counters.answered(request.route, request.status, seconds)
        return body

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, hot = time.perf_counter(), self._hot
        found = None if hot is None else hot.find(scope)
        was_held = False
        if found is not None:
            notes = (scope.get("extensions") or _NONE).get(REQUEST_NOTES)
            if notes is not None and hot is not None:
                notes.principal = hot.principal_name(scope)
            if found.wait is None:
                seconds = time.perf_counter() - started
                self._counters.answered(found.ready.route, found.status, seconds)
                await _send_ready(send, found)
                return
            since = time.monotonic()
            was_held = await self._hold(found, scope, receive)
            if was_held and await self._answer_held(found, send, since):
                return
        response = await self._handle(http_request(scope, receive, was_held=was_held))
        if hot is not None and response.reusable is not None:
            hot.remember(scope, response.reusable)
        await self._respond(response, send)

    async def _hold(self, found: HotAnswer, scope: Scope, receive: Receive) -> bool:
        """Hold a request; false if too many are held."""
        live, wait = self.live, found.wait
        if live is None or wait is None or live.watching.is_full:
            return False
        await live.wait(
            found.ready.request,
            found.ready.entity_tag,
            seconds=wait,
            gone=_Messages(receive).disconnected,
            at_end=(scope.get("extensions") or _NONE).get(AT_END),
        )
        return True

    async def _answer_held(self, before: HotAnswer, send: Send, since: float) -> bool:
        """Answer a request that is held `since`; false if memory is not enough for that."""
        live, hot, wait, request = self.live, self._hot, before.wait, before.request
        if live is None or hot is None or wait is None or request is None:
            return False
        # a live layer that was closed meanwhile knows nothing newer
        found = hot.after_wait(request, since=since) if live.is_running else before
        if found is None:
            return False
        if found.body is not None:
            live.counters.woke(time.monotonic() - live.noticed_at)
        self._counters.answered(found.ready.route, found.status, None)
        await _send_ready(send, found, waited_headers(live, wait))
        return True

    async def _respond(self, response: HttpResponse, send: Send) -> None:
        size = len(response.body)
        if size <= _PIECE_BYTES:
            await _send(send, response)
        elif self._pending_bytes + size > MAX_PENDING_BYTES:
            await _send(send, _BUSY)
        else:
            self._pending_bytes += size
            try:
                await _send(send, response)
            finally:
                self._pending_bytes -= size

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await self.aclose()
            await self._server.aclose()
        except Exception as error:
            message = f"closing the stores failed: {type(error).__name__}"
            await send({"type": "lifespan.shutdown.failed", "message": message})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def http_request(scope: Scope, receive: Receive, *, was_held: bool = False) -> HttpRequest:
    """Return the request of an ASGI scope of type `http`."""
    raw_path: bytes | None = scope.get("raw_path")
    if raw_path is None:  # optional in ASGI
        raw_path = quote(scope["path"], safe=_SAFE).encode()
    root_path = b""
    if scope.get("root_path"):
        root_path, raw_path = _split_root(scope, raw_path)
    messages = _Messages(receive)
    return HttpRequest(
        method=scope["method"],
        raw_path=raw_path,
        root_path=root_path,
        query=scope.get("query_string", b""),
        headers=scope["headers"],
        client=(scope.get("client") or _NO_CLIENT)[0] or None,
        read_body=messages.read_body,
        disconnected=messages.disconnected,
        user=scope.get("user"),
        was_held=was_held,
        notes=(scope.get("extensions") or _NONE).get(REQUEST_NOTES),
    )


def _split_root(scope: Scope, raw_path: bytes) -> tuple[bytes, bytes]:
    """Return the prefix and the path after it.

    Some ASGI servers send paths with the prefix, as ASGI requires, some without it. If only the
    framework knows the outer prefix, the path begins with the prefix of its mounts. Starlette and
    FastAPI name the outer prefix in `app_root_path`.
    """
    root: str = scope["root_path"].rstrip("/")
    shown = quote(root, safe=_SAFE).encode()
    head = _head(raw_path, root)
    if head is not None:
        return head, raw_path[len(head) :]
    mount = root.removeprefix(scope.get("app_root_path", root).rstrip("/"))
    head = _head(raw_path, mount) or b""
    return shown, raw_path[len(head) :]


def _head(raw_path: bytes, prefix: str) -> bytes | None:
    """Return the beginning of a raw path that means `prefix`, however it is escaped."""
    head = b"/".join(raw_path.split(b"/", prefix.count("/") + 1)[: prefix.count("/") + 1])
    return head if unquote_to_bytes(head) == prefix.encode() else None


class _Messages:
    """The ASGI messages of one request: its body, and the end of its connection."""

    __slots__ = ("_receive",)

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def read_body(self) -> bytes:
        """Return the body; stop reading after the largest accepted size."""
        chunks: list[bytes] = []
        size, more = 0, True
        while more and size <= MAX_BODY_BYTES:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ConnectionError("the client disconnected")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            more = message.get("more_body", False)
        return b"".join(chunks)

    async def disconnected(self) -> None:
        """Return after the client has disconnected; discard everything that it sends before."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _send_ready(send: Send, found: HotAnswer, more: Headers = ()) -> None:
    """Send a response of the hot path; 304 without a body."""
    ready, body = found.ready, found.body
    headers = [*(ready.known_headers if body is None else ready.headers), *more]
    await send({"type": "http.response.start", "status": found.status, "headers": headers})
    await send({"type": "http.response.body", "body": body or b"", "more_body": False})


async def _send(send: Send, response: HttpResponse) -> None:
    """Send a response in pieces; each piece waits until the client has read the pieces before."""
    headers, body = response.headers, response.body
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    for start in range(0, len(body) - _PIECE_BYTES, _PIECE_BYTES):
        piece = body[start : start + _PIECE_BYTES]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    last = body[(len(body) - 1) // _PIECE_BYTES * _PIECE_BYTES :] if body else b""
    await send({"type": "http.response.body", "body": last, "more_body": False})
