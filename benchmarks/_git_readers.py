"""Reads documents on several connections: python _git_readers.py PORT READERS PAUSE HEADERS PATH…

Each reader asks for the paths in turns, the next one PAUSE seconds after the one before was due, or
as soon as it has an answer if PAUSE is 0. The time of an answer counts from when its request was
due. At the end of standard input, the process prints as JSON how long the answers took, in seconds,
and for each body when it was first seen, on the monotonic clock.
"""

import json
import re
import selectors
import socket
import sys
import time
from dataclasses import dataclass

HOST = "127.0.0.1"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True, kw_only=True, eq=False)
class Reader:
    """One connection."""

    connection: socket.socket
    turn: int
    due: float
    data: bytes = b""
    is_waiting: bool = False


class Readers:
    """Readers in one thread.

    Args:
        port: Of the server.
        count: Their number.
        pause: Seconds between two requests of one of them.
        requests: What they ask for, in turns.
    """

    def __init__(self, port: int, count: int, pause: float, requests: list[bytes]) -> None:
        self._pause = pause
        self._requests = requests
        self._selector = selectors.DefaultSelector()
        self._readers: list[Reader] = []
        self.latencies: list[float] = []
        self.bodies: dict[bytes, float] = {}
        now = time.monotonic()
        for number in range(count):
            connection = socket.create_connection((HOST, port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            due = now + pause * number / count
            reader = Reader(connection=connection, turn=number, due=due)
            self._readers.append(reader)
            self._selector.register(connection, selectors.EVENT_READ, reader)

    def run(self) -> None:
        """Read until the end of standard input."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            idle = [one for one in self._readers if not one.is_waiting]
            for reader in idle:
                if reader.due <= now:
                    self._ask(reader)
            waits = [one.due - now for one in idle if not one.is_waiting]
            for key, _ in self._selector.select(max(0.0, min(waits)) if waits else None):
                if key.data is None:
                    return
                self._receive(key.data)

    def _ask(self, reader: Reader) -> None:
        reader.connection.sendall(self._requests[reader.turn % len(self._requests)])
        reader.turn += 1
        reader.is_waiting = True

    def _receive(self, reader: Reader) -> None:
        received = reader.connection.recv(65_536)
        if not received:
            raise ConnectionError("closed")
        data = reader.data = reader.data + received
        end = data.find(b"\r\n\r\n")
        length = LENGTH.search(data, 0, end + 2)
        if end < 0 or length is None or len(data) < end + 4 + int(length[1]):
            return
        now = time.monotonic()
        if not data.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"no document: {data[:200]!r}")
        self.latencies.append(now - reader.due)
        self.bodies.setdefault(data[end + 4 :], now)
        reader.data, reader.is_waiting = b"", False
        reader.due = reader.due + self._pause if self._pause else now


def main() -> None:
    port, count, pause, headers, *paths = sys.argv[1:]
    fields = [f"{name}: {value}" for name, value in json.loads(headers).items()]
    lines = ["HTTP/1.1", f"Host: {HOST}", *fields, "", ""]
    end = "\r\n".join(lines).encode()
    requests = [f"GET {path} ".encode() + end for path in paths]
    readers = Readers(int(port), int(count), float(pause), requests)
    print(flush=True)
    readers.run()
    seen = [[body.decode(), moment] for body, moment in readers.bodies.items()]
    print(json.dumps({"latencies": readers.latencies, "bodies": seen}))


if __name__ == "__main__":
    main()
