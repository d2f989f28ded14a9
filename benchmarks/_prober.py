"""Reads a document again and again on one connection: python _prober.py PORT PATH [HEADER].

Every few milliseconds a request is due. The time of an answer counts from when its request was
due, so that one long wait counts as often as requests had to wait for it. At the end of standard
input, the process prints every due time and latency in seconds as JSON.
"""

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping

HOST = "127.0.0.1"
PAUSE = 0.005
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def read(connection: socket.socket, request: bytes) -> None:
    """Make a request, and read the answer to its end."""
    connection.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head = data.find(b"\r\n\r\n") + 2
    length = LENGTH.search(data, 0, head)
    while len(data) < head + 2 + (int(length[1]) if length else 0):
        data += _receive(connection)
    if not data.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"no document: {data[:100]!r}")


def _receive(connection: socket.socket) -> bytes:
    if not (data := connection.recv(65_536)):
        raise ConnectionError("closed")
    return data


def probe(port: int, request: bytes, ended: threading.Event) -> list[tuple[float, float]]:
    """Read until the end; return when each request was due, and how long its answer took."""
    samples: list[tuple[float, float]] = []
    with socket.create_connection((HOST, port)) as connection:
        due = time.perf_counter()
        while not ended.wait(max(0.0, due - time.perf_counter())):
            read(connection, request)
            samples.append((due, time.perf_counter() - due))
            due += PAUSE
    return samples


class Prober:
    """A running prober, and its samples after the end."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._samples: list[tuple[float, float]] = []

    def finish(self) -> None:
        """End it."""
        output, _ = self._process.communicate()
        self._samples = json.loads(output)

    def latencies(self, first: float, last: float) -> list[float]:
        """Return the latencies of the requests that were due in a time."""
        return [latency for due, latency in self._samples if first <= due < last]


@contextlib.contextmanager
def probing(port: int, path: str, headers: Mapping[str, str]) -> Generator[Prober]:
    """Run a prober in a process of its own until the end of the block."""
    fields = [f"{name}: {value}" for name, value in headers.items()]
    command = [sys.executable, __file__, str(port), path, *fields]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        prober = Prober(process)
        try:
            yield prober
            prober.finish()
        finally:
            process.terminate()


def main() -> None:
    port, path, *fields = sys.argv[1:]
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", *fields, "", ""]
    print(json.dumps(probe(int(port), "\r\n".join(lines).encode(), ended)))


if __name__ == "__main__":
    main()
