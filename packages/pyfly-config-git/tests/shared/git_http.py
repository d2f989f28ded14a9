"""A Git server over HTTP whose answers a test can spoil: git http-backend behind a small server."""

import base64
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PASSWORD = "hunter2-correct"


class GitHttpServer:
    """Serves the bare repositories below a directory on a loopback port.

    Args:
        root: The directory.
        credentials: `user:password`, if requests need them.
    """

    def __init__(self, root: Path, *, credentials: str | None = None) -> None:
        self.root = root
        self.credentials = credentials
        self.mode = "serve"
        """`serve`; `slow`, late; `redirect` to `target`; `cut` in the headers; `hang`
        until the end."""
        self.target = ""
        self.requests: list[tuple[str, str | None]] = []
        """Path and credentials of every request."""
        self.ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            do_POST = do_GET  # noqa: N815 - the name that the library wants

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                pass

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        given = request.headers.get("Authorization")
        self.requests.append((request.path, given))
        if self.mode == "redirect":
            request.send_response(302)
            request.send_header("Location", self.target + request.path)
            request.end_headers()
        elif self.mode == "cut":
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
            request.close_connection = True
        elif self.mode == "hang":
            self.ended.wait(60)
            request.close_connection = True
        elif self.credentials is not None and given != _basic(self.credentials):
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="git"')
            request.send_header("Content-Length", "0")
            request.end_headers()
        else:
            self._run(request)

    def _run(self, request: BaseHTTPRequestHandler) -> None:
        path, _, query = request.path.partition("?")
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.headers.get("Transfer-Encoding") == "chunked":
            body = _chunks(request.rfile)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.receivepack",
            "GIT_CONFIG_VALUE_0": "true",
            "REQUEST_METHOD": request.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": request.headers.get("Content-Type") or "",
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol") or "",
        }
        output = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
        ).stdout
        head, _, content = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        request.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if self.mode == "slow":
            time.sleep(0.3)
        request.wfile.write(content)


def _chunks(source: Any) -> bytes:
    parts: list[bytes] = []
    while size := int(source.readline().split(b";")[0], 16):
        parts.append(source.read(size))
        source.readline()
    source.readline()
    return b"".join(parts)


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()
