"""How granian and uvicorn carry the same application: request rate, and half-sent requests.

The application is the ready-made one over the example repository, so that every request does the
whole work: access, lookup of six files, composition, rendering. One worker each. uvicorn comes
with uvloop and httptools into an environment of its own. Needs `wrk` (apt-get install wrk).
"""

import contextlib
import socket
import sys
import time
from functools import partial

from litestar import Litestar

from _load import (
    EXAMPLES,
    compare,
    free_port,
    granian,
    need_wrk,
    rate,
    read_options,
    report,
    running,
)
from pyfly.config_cli._serve import HEADER_SECONDS
from pyfly.config_litestar import create_app
from pyfly.config_server import ConfigServer, FilesystemConfigBackend

UVICORN = "uvicorn[standard]==0.54.0"
PATH = "/config/orders/prod,eu"
PATIENCE = 25


def make_app() -> Litestar:
    """Serve the examples."""
    return create_app(ConfigServer(FilesystemConfigBackend(EXAMPLES)), auth=None)


def uvicorn(port: int) -> list[str]:
    """Return the command with every limit that uvicorn offers."""
    program = ["uv", "run", "--frozen", "--quiet", "--with", UVICORN, "uvicorn"]
    limits = ["--timeout-keep-alive", str(HEADER_SECONDS)]
    common = ["--factory", "--log-level", "warning", "--port", str(port), "servers:make_app"]
    return [*program, "--no-access-log", *limits, *common]


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


def main() -> int:
    options = read_options(__doc__)
    need_wrk()
    ours, theirs = free_port(), free_port()
    with (
        running(granian(ours, "servers:make_app"), ours, PATH),
        running(uvicorn(theirs), theirs, PATH),
    ):
        ports = {"uvicorn": theirs, "granian": ours}
        rates = compare({name: partial(rate, port, PATH) for name, port in ports.items()}, options)
        report(rates, options, unit="requests")
        if not options.json:
            begun = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
            for name, port in ports.items():
                print(f"{name}: half-sent headers: {closed_after(port, begun)}", flush=True)
                print(f"{name}: a header of 1 MB: {closed_after(port, begun + b'y' * 1_000_000)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
