"""How the server of `pyfly-config serve` compares to granian: rate, processor time, bad clients.

Both run in one process of the command's own kind: uvicorn on an event loop of ours, inside of the
limits of `serve`, and granian's `embed.Server`. They carry the ready-made application over the
example repository, so that every request does the whole work, and an empty handler, so that the
servers themselves can be compared. granian comes into an environment of its own. Linux only.
Needs `wrk` (apt-get install wrk).
"""

import contextlib
import socket
import subprocess
import sys
import time
from functools import partial

from _empty import record
from _load import compare, read_options, report
from _processes import (
    EXAMPLES,
    HERE,
    SECONDS,
    asgi,
    ask,
    free_port,
    need_wrk,
    processor_seconds,
    rate,
    running,
)
from pyfly.config_litestar import ReadyApp, create_asgi_app
from pyfly.config_server import ConfigServer, FilesystemConfigBackend

GRANIAN = "granian==2.8.7"
PATH = "/config/orders/prod,eu"
PATIENCE = 25


def make_app() -> ReadyApp:
    """Serve the examples."""
    return create_asgi_app(ConfigServer(FilesystemConfigBackend(EXAMPLES)), auth=None)


def granian(port: int, factory: str) -> list[str]:
    """Return the command that runs `module:function` on granian's embedded server."""
    program = ["uv", "run", "--frozen", "--quiet", "--with", GRANIAN, "python"]
    return [*program, str(HERE / "_embed.py"), str(port), factory]


def closed_after(port: int, sent: bytes) -> str:
    """Say what happens to a connection that sends `sent` and then one byte a second."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(1)
        connection.sendall(sent)
        while time.monotonic() - began < PATIENCE:
            with contextlib.suppress(TimeoutError):
                try:
                    answer = connection.recv(100)
                except ConnectionError:
                    answer = b""
                status = answer.split(b"\r\n")[0].decode() or "closed"
                return f"{status} after {time.monotonic() - began:.0f} s"
            with contextlib.suppress(OSError):
                connection.sendall(b"x")
    return f"still open after {PATIENCE} s"


def microseconds(process: subprocess.Popen[bytes], port: int, path: str) -> float:
    """Return the processor time of a request in microseconds."""
    pid = _server_of(process.pid)
    before = processor_seconds(pid)
    requests = rate(port, path) * SECONDS
    return (processor_seconds(pid) - before) / requests * 1e6


def _server_of(pid: int) -> int:
    """Return the process that serves: `uv run` has it as its child."""
    done = subprocess.run(
        ["pgrep", "-P", str(pid)], capture_output=True, encoding="ascii", check=False
    )
    return int(done.stdout.split()[0]) if done.stdout else pid


def main() -> int:
    options = read_options(__doc__)
    need_wrk()
    with contextlib.ExitStack() as stack:
        ports: dict[str, int] = {}
        bare: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
        for name, command in {"granian": granian, "uvicorn": asgi}.items():
            port = ports[name] = free_port()
            stack.enter_context(running(command(port, "servers:make_app"), port, PATH))
            ready = record([(PATH, ask(port, PATH))])
            port = free_port()
            command_line = command(port, "_empty:make_empty")
            bare[name] = (
                stack.enter_context(running(command_line, port, PATH, variables=ready)),
                port,
            )
        rates = compare({name: partial(rate, port, PATH) for name, port in ports.items()}, options)
        costs = {
            name: [microseconds(*at, PATH) for _ in range(options.rounds)]
            for name, at in bare.items()
        }
        report(rates, options, unit="requests", microseconds_of_an_empty_request=costs)
        if not options.json:
            begun = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
            for name, port in ports.items():
                print(f"{name}: half-sent headers: {closed_after(port, begun)}", flush=True)
                print(f"{name}: a header of 1 MB: {closed_after(port, begun + b'y' * 1_000_000)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
