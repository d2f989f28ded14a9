"""A server that holds conditional requests until its answer changes."""

import asyncio
import contextlib
import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DOCUMENT: dict[str, Any] = {
    "name": "orders",
    "profiles": ["prod"],
    "label": None,
    "version": None,
    "state": None,
    "propertySources": [
        {"name": "main/orders-prod.yaml", "source": {"db.url": "marker-value", "hosts[0]": "c"}},
        {"name": "main/application-default.yaml", "source": {"hosts[0]": "a", "hosts[1]": "b"}},
    ],
}


class HoldingServer:
    """Keeps connections open, and holds conditional requests until its answer changes."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        """The headers of all requests, in lower case, with the address as `path`."""
        self.connections: set[tuple[str, int]] = set()
        """The client's end of every connection that sent a request."""
        self.holds = True
        self.held = 0
        """How many requests are held at the moment."""
        self.let_go = 0
        """How many were held before. A client may be back before anybody sees that none is held."""
        self.stale: int | None = None
        self.busy = 0
        """How many requests are answered with 503."""
        self.silent = False
        """Do not end a wait when the answer changes."""
        self.drop_next = False
        """Close the connection of the next request without an answer."""
        self._etag, self._body = '"0"', b""
        self._news = threading.Condition()
        self._stopped = False
        self._round = 0
        self._cut = 0
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        server.block_on_close = False
        self._server = server
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.answer(a=0)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, **source: Any) -> None:
        """Answer with other properties from now on."""
        sources = [{"name": "main/orders.yaml", "source": source}]
        document = {**DOCUMENT, "propertySources": sources}
        with self._news:
            self._body = json.dumps(document).encode()
            self._etag = f'"{hashlib.sha256(self._body).hexdigest()[:8]}"'
            self._news.notify_all()

    def end_waits(self) -> None:
        """End all held requests with 304."""
        with self._news:
            self._round += 1
            self._news.notify_all()

    def cut(self) -> None:
        """Close the connections of all held requests."""
        with self._news:
            self._cut += 1
            self._news.notify_all()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of this server."""
        with self._news:
            assert self._news.wait_for(condition, 60.0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of this server, beside other tasks."""
        await asyncio.to_thread(self.wait_until, condition)

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._stopped = True
        self.cut()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.respond(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                """Write nothing."""

        return Handler

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        asked = {name.lower(): value for name, value in handler.headers.items()}
        with self._news:
            self.requests.append(asked | {"path": handler.path})
            self.connections.add(handler.client_address)
            self._news.notify_all()
            if self.drop_next or self._stopped:
                self.drop_next = False
                handler.close_connection = True
                return
            if self.busy:
                self.busy -= 1
                self._send(handler, 503, b"", {"Retry-After": "0"})
                return
            wait = asked.get("prefer", "").removeprefix("wait=")
            known = asked.get("if-none-match")
            if wait and self.holds and known == self._etag and not self._hold(float(wait)):
                handler.close_connection = True
                return
            headers = {"ETag": self._etag, "Content-Type": "application/json"}
            if wait and self.holds:
                headers["Preference-Applied"] = f"wait={wait}"
            if self.stale is not None:
                headers["X-Config-Stale"] = str(self.stale)
            same = known == self._etag
            self._send(handler, 304 if same else 200, b"" if same else self._body, headers)

    def _hold(self, seconds: float) -> bool:
        """Wait for another answer; return False if the connection is to be cut."""
        before, cut, etag = self._round, self._cut, self._etag
        self.held += 1
        self._news.notify_all()
        self._news.wait_for(
            lambda: (
                (self._round, self._cut) != (before, cut) or not (self.silent or self._etag == etag)
            ),
            seconds,
        )
        self.held -= 1
        self.let_go += 1
        self._news.notify_all()
        return cut == self._cut

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]
    ) -> None:
        with contextlib.suppress(OSError):  # the client has given up
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            if status != 304:
                handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
