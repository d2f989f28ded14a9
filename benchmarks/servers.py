"""How granian and uvicorn carry the same application: request rate, and half-sent requests.

The application is the ready-made one over the example repository, so that every request does the
whole work: access, lookup of six files, composition, rendering. One worker each. Rounds alternate;
the median of their ratios counts. uvicorn comes with uvloop and httptools into an environment of
its own. Needs `wrk` (apt-get install wrk).
"""

import contextlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

from litestar import Litestar

from _load import free_port, need_wrk, rate, wait
from pyfly.config_cli._serve import HEADER_BYTES, HEADER_SECONDS
from pyfly.config_litestar import create_app
from pyfly.config_server import ConfigServer, FilesystemConfigBackend

UVICORN = "uvicorn[standard]==0.54.0"
ROUNDS = 7
PATH = "/config/orders/prod,eu"
PATIENCE = 25
HERE = Path(__file__).parent


def make_app() -> Litestar:
    """Serve the examples."""
    root = HERE.parent / "docs" / "examples" / "config"
    return create_app(ConfigServer(FilesystemConfigBackend(root)), auth=None)


def granian(port: int) -> list[str]:
    """Return the command with the limits of `pyfly-config serve`."""
    limits = ["--http1-header-read-timeout", str(HEADER_SECONDS * 1000)]
    limits += ["--http1-buffer-size", str(HEADER_BYTES)]
    program = str(Path(sys.executable).with_name("granian"))
    common = ["--factory", "--log-level", "warning", "--port", str(port), "servers:make_app"]
    return [program, "--interface", "asgi", "--http", "1", "--no-ws", *limits, *common]


def uvicorn(port: int) -> list[str]:
    """Return the command with every limit that uvicorn offers."""
    program = ["uv", "run", "--frozen", "--quiet", "--with", UVICORN, "uvicorn"]
    limits = ["--timeout-keep-alive", str(HEADER_SECONDS)]
    common = ["--factory", "--log-level", "warning", "--port", str(port), "servers:make_app"]
    return [*program, "--no-access-log", *limits, *common]


@contextlib.contextmanager
def running(command: list[str], port: int) -> Generator[None]:
    """Run a server until the end of the block."""
    with subprocess.Popen(command, cwd=HERE) as process:
        try:
            wait(port, PATH)
            yield
        finally:
            process.terminate()


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
    need_wrk()
    one, other = free_port(), free_port()
    with running(granian(one), one), running(uvicorn(other), other):
        ratios: list[float] = []
        for number in range(1, ROUNDS + 1):
            ours, theirs = rate(one, PATH), rate(other, PATH)
            ratios.append(ours / theirs)
            print(
                f"round {number}: granian {ours:7.0f}/s  uvicorn {theirs:7.0f}/s  {ratios[-1]:.3f}",
                flush=True,
            )
        print(f"median ratio {statistics.median(ratios):.3f}")
        begun = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
        for name, port in (("granian", one), ("uvicorn", other)):
            print(f"{name}: half-sent headers: {closed_after(port, begun)}", flush=True)
            print(f"{name}: a header of 1 MB: {closed_after(port, begun + b'y' * 1_000_000)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
