"""What the proofs share: a running server, its memory, honest clients, a table."""

import asyncio
import contextlib
import math
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples" / "config"
COMMAND = Path(sys.executable).with_name("pyfly-config")
HOST = "127.0.0.1"
REQUEST = f"GET /config/orders/prod,eu HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
LIVE = f"GET /health/live HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    port: int,
    *arguments: object,
    store: Path = EXAMPLES,
    settings: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `pyfly-config serve`, with settings by the names of their variables."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_CONFIG_")}
    environ |= {f"PYFLY_CONFIG_SERVER_{name}": value for name, value in (settings or {}).items()}
    command = [COMMAND, "serve", store, "--port", port, *arguments]
    return subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environ,
    )


@contextlib.asynccontextmanager
async def serving(
    *arguments: object, store: Path = EXAMPLES, settings: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server until the end of the block; give its port and process."""
    port = free_port()
    with start(port, *arguments, store=store, settings=settings) as process:
        try:
            while not await answers(port, LIVE if settings else REQUEST):
                await asyncio.sleep(0.05)
            yield port, process
        finally:
            process.kill()


async def answers(port: int, request: bytes = REQUEST) -> bool:
    """True if a server answers there."""
    try:
        await ask(port, request)
    except OSError:
        return False
    return True


async def ask(port: int, request: bytes = REQUEST) -> float:
    """Make one request on a connection of its own; return the seconds until its first bytes.

    Raises:
        OSError: There was no answer, or not 200.
    """
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(request)
        if not (await reader.readline()).startswith(b"HTTP/1.1 200 "):
            raise ConnectionError("no answer")
    finally:
        writer.close()
    return time.perf_counter() - began


def descriptors(wanted: int) -> None:
    """Raise the limit of open files of this process, which holds both ends of many sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted), hard))


def resident(pid: int) -> float:
    """Return the memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def percentile(values: Iterable[float], part: float) -> float:
    """Return the value that `part` of all lie at or below; infinite without values."""
    known = sorted(values)
    return known[max(0, math.ceil(len(known) * part) - 1)] if known else math.inf


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table in Markdown."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
