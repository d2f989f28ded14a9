"""The servers of the benchmarks, and requests to them."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "docs" / "examples" / "config"
SECONDS = 3
SETTLED_SECONDS = 0.4


def need_wrk() -> None:
    """Exit with what to do when the load generator is missing."""
    if shutil.which("wrk") is None:
        print("wrk is needed: apt-get install wrk", file=sys.stderr)
        sys.exit(2)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def program(name: str) -> str:
    """Return the path of a command of this environment."""
    return str(Path(sys.executable).with_name(name))


def asgi(port: int, factory: str) -> list[str]:
    """Return the command that runs `module:function` as `pyfly-config serve` runs its own."""
    return [sys.executable, str(HERE / "_asgi.py"), str(port), factory]


def serve(port: int, store: object, *arguments: str) -> list[str]:
    """Return the command that serves a store with `pyfly-config serve`."""
    return [program("pyfly-config"), "serve", str(store), "--port", str(port), *arguments]


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    path: str,
    *,
    variables: Mapping[str, str] | None = None,
    seconds: float = 20,
) -> Generator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block.

    Args:
        command: What to start.
        port: Where it listens.
        path: What it answers when it is ready.
        variables: Added to its environment, which has no other settings of `pyfly-config`.
        seconds: How long it may take to start.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYFLY_CONFIG")}
    with subprocess.Popen(
        command,
        cwd=HERE,
        stdout=subprocess.DEVNULL,
        env={**own, **(variables or {})},
    ) as process:
        try:
            _wait(process, port, path, seconds)
            yield process
        finally:
            process.terminate()


def _wait(process: "subprocess.Popen[bytes]", port: int, path: str, seconds: float) -> None:
    """Wait until the server answers, whatever its status below 500 is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if ask(port, path).status < HTTPStatus.INTERNAL_SERVER_ERROR:
                return
        time.sleep(0.05)
    raise RuntimeError("the server did not start")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server in a process of its own."""

    port: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a request."""

    status: int
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return the answer to a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(status=answer.status, headers=named, body=answer.read())


def get(port: int, path: str) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of an answer that says 200."""
    answer = ask(port, path)
    if answer.status != HTTPStatus.OK:
        raise RuntimeError(f"{path}: {answer.status}")
    return answer.headers, answer.body


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, in user and system mode (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Meter:
    """Measures the request rate of a server, and the processor time of each request.

    Args:
        server: The server.
        path: What is asked for.
        seconds: How long it is measured.
        headers: Of every request.
        script: In Lua, which may make other requests.
    """

    def __init__(
        self,
        server: "Running",
        path: str,
        *,
        seconds: int = SECONDS,
        headers: Mapping[str, str] | None = None,
        script: Path | None = None,
    ) -> None:
        self._server = server
        self._rate = partial(
            rate, server.port, path, seconds=seconds, headers=headers, script=script
        )
        self._seconds = seconds
        self.beside: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        """What goes on while it is measured."""
        self.microseconds: list[float] = []
        """The processor time of a request in each measurement."""

    def __call__(self) -> float:
        """Return the requests per second."""
        with self.beside():
            before = processor_seconds(self._server.pid)
            found = self._rate()
            spent = processor_seconds(self._server.pid) - before
        self.microseconds.append(1e6 * spent / (found * self._seconds))
        return found


def resident(pid: int) -> float:
    """Return the memory of a process in KB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1000


def descriptors(pid: int) -> int:
    """Return how many files and connections a process has open (Linux)."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def settle(pid: int, *, seconds: float = 15) -> None:
    """Wait until a process has next to nothing to do, for so long at most."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = processor_seconds(pid)
        time.sleep(SETTLED_SECONDS)
        if processor_seconds(pid) - before <= SETTLED_SECONDS / 10:
            return


def rate(
    port: int,
    path: str,
    *,
    seconds: int = SECONDS,
    headers: Mapping[str, str] | None = None,
    script: Path | None = None,
) -> float:
    """Return wrk's requests per second over 32 connections.

    Args:
        port: Of the server.
        path: What is asked for.
        seconds: How long.
        headers: Of every request.
        script: In Lua, which may make other requests.
    """
    fields = [f"-H{name}: {value}" for name, value in (headers or {}).items()]
    more = [f"-s{script}"] if script else []
    output = subprocess.run(
        [
            *("wrk", "-t1", "-c32", f"-d{seconds}s"),
            *(*fields, *more, f"http://127.0.0.1:{port}{path}"),
        ],
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None or "Non-2xx" in output:
        raise RuntimeError(output)
    return float(found[1])
