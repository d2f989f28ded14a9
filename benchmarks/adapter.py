"""What the Litestar adapter costs: its request rate against an empty handler mounted beside it.

Both are raw ASGI handlers in one Litestar application and send the same bytes; one of them goes
through `HttpRequest`, a controller that answers ready bytes, and `HttpResponse`. The server is the
one of `pyfly-config serve`, with one worker. Rounds alternate, and the median of their ratios is
what counts. Needs `wrk` (apt-get install wrk).
"""

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send

from _load import free_port, need_wrk, rate, wait
from pyfly.config_litestar import ConfigServerPlugin
from pyfly.config_server import ConfigServer, HttpRequest, HttpResponse, InMemoryConfigBackend

ROUNDS = 7
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


def main() -> int:
    need_wrk()
    port = free_port()
    command = [Path(sys.executable).with_name("granian"), "--interface", "asgi", "--factory"]
    command += ["--http", "1", "--no-ws", "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen(
        [*command, "--working-dir", Path(__file__).parent, "adapter:make_app"]
    ) as server:
        try:
            wait(port, "/empty/")
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


if __name__ == "__main__":
    sys.exit(main())
