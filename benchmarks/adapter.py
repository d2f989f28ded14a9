"""What the Litestar adapter costs: its request rate against an empty handler mounted beside it.

Both are raw ASGI handlers in one Litestar application and send the same bytes; one of them goes
through `HttpRequest`, a controller that answers ready bytes, and `HttpResponse`. The server is the
one of `pyfly-config serve`, with one worker. Rounds alternate, and the median of their ratios is
what counts. Needs `wrk` (apt-get install wrk).
"""

import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send

from pyfly.config_litestar import ConfigServerPlugin
from pyfly.config_server import ConfigServer, HttpRequest, HttpResponse, InMemoryConfigBackend

ROUNDS = 7
SECONDS = 3
BODY = b'{"name":"orders","filling":"' + b"x" * 2400 + b'"}'
HEADERS = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY)))
READY = HttpResponse(status=200, headers=HEADERS, body=BODY)


async def answer_ready(request: HttpRequest) -> HttpResponse:
    return READY


@asgi("/empty", is_mount=True, copy_scope=False)
async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY, "more_body": False})


def make_app() -> Litestar:
    """Mount both; the controller of the plugin is replaced before its handler is made."""
    import pyfly.config_litestar._plugin as plugin  # noqa: PLC0415

    class Ready:
        def __init__(self, *args: Any, **options: Any) -> None:
            self.handle = answer_ready

    plugin.Controller = Ready  # type: ignore[assignment, misc]
    server = ConfigServer(InMemoryConfigBackend())
    return Litestar([empty], plugins=[ConfigServerPlugin(server, auth=None)], openapi_config=None)


def rate(port: int, path: str) -> float:
    """Return wrk's requests per second."""
    output = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{SECONDS}s", f"http://127.0.0.1:{port}{path}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None or "Non-2xx" in output:
        raise RuntimeError(output)
    return float(found[1])


def main() -> int:
    if shutil.which("wrk") is None:
        print("wrk is needed: apt-get install wrk", file=sys.stderr)
        return 2
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("granian"), "--interface", "asgi", "--factory"]
    command += ["--http", "1", "--no-ws", "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen(
        [*command, "--working-dir", Path(__file__).parent, "adapter:make_app"]
    ) as server:
        try:
            wait(port)
            rate(port, "/empty/orders/prod")
            ratios: list[float] = []
            for number in range(1, ROUNDS + 1):
                base = rate(port, "/empty/orders/prod")
                ours = rate(port, "/config/orders/prod")
                ratios.append(ours / base)
                print(
                    f"round {number}: empty {base:8.0f}/s  adapter {ours:8.0f}/s  {ratios[-1]:.3f}"
                )
        finally:
            server.terminate()
    print(f"median ratio {statistics.median(ratios):.3f}")
    return 0


def wait(port: int) -> None:
    """Wait until the server answers, ten seconds at most."""
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/empty/", timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start")


if __name__ == "__main__":
    sys.exit(main())
