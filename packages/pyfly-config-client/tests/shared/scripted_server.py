"""A server that answers whatever a test tells it to, over real sockets."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from typing import Any


class ScriptedServer:
    """Answers every connection with the same chunks, waiting between them.

    What stands in `turns` comes first, each once: an answer, or a way to treat the connection.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.chunks: list[bytes] = []
        self.turns: list[bytes | Callable[[socket.socket], None]] = []
        self.pause = 0.0
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            received = b""
            while b"\r\n\r\n" not in received:
                if not (chunk := connection.recv(65536)):
                    return
                received += chunk
            self.requests.append(received.decode("latin-1"))
            turn = self.turns.pop(0) if self.turns else None
            try:
                if callable(turn):
                    turn(connection)
                    return
                for chunk in self.chunks if turn is None else [turn]:
                    connection.sendall(chunk)
                    if self._stopped.wait(self.pause):
                        return
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                return  # the client has given up

    def answer(
        self, body: bytes, *headers: str, status: str = "200 OK", length: bool = True
    ) -> None:
        self.chunks = [self.message(body, *headers, status=status, length=length)]

    def message(
        self, body: bytes, *headers: str, status: str = "200 OK", length: bool = True
    ) -> bytes:
        """Return an answer as it travels."""
        lines = [f"HTTP/1.1 {status}", "Connection: close", *headers]
        if length:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    def json(self, document: Any, *headers: str, **how: Any) -> bytes:
        """Return an answer of JSON as it travels."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.message(body, "Content-Type: application/json", *headers, **how)

    def answer_json(self, document: Any, *headers: str, **how: Any) -> None:
        self.chunks = [self.json(document, *headers, **how)]

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
