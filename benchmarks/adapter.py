"""What the Litestar adapter costs: its request rate against an empty handler mounted beside it.

Both stand in one Litestar application and send the same bytes; one of them is the plugin: a route,
`HttpRequest`, a controller that answers ready bytes, and `HttpResponse`. The server is the
one of `pyfly-config serve`, with one worker. Needs `wrk` (apt-get install wrk).
"""

import sys
from functools import partial
from typing import Any

from litestar import Litestar
from litestar.handlers import asgi as handler
from litestar.types import Receive, Scope, Send

from _load import asgi, compare, free_port, need_wrk, rate, read_options, report, running
from pyfly.config_litestar import ConfigServerPlugin
from pyfly.config_server import ConfigServer, HttpRequest, HttpResponse, InMemoryConfigBackend

BODY = b'{"name":"orders","filling":"' + b"x" * 2400 + b'"}'
HEADERS = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY)))
READY = HttpResponse(status=200, headers=HEADERS, body=BODY)


async def answer_ready(request: HttpRequest) -> HttpResponse:
    return READY


@handler("/empty", is_mount=True, copy_scope=False)
async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY, "more_body": False})


def make_app() -> Litestar:
    """Serve both; the controller of the plugin is replaced before its handler is made."""
    import pyfly.config_server.http.asgi as asgi_app  # noqa: PLC0415

    class Ready:
        def __init__(self, *args: Any, **options: Any) -> None:
            self.handle = answer_ready
            self.root_paths: frozenset[str] = frozenset()

    asgi_app.Controller = Ready  # type: ignore[assignment, misc]
    server = ConfigServer(InMemoryConfigBackend())
    return Litestar([empty], plugins=[ConfigServerPlugin(server, auth=None)], openapi_config=None)


def main() -> int:
    options = read_options(__doc__)
    need_wrk()
    port = free_port()
    with running(asgi(port, "adapter:make_app"), port, "/empty/"):
        rates = compare(
            {
                "empty": partial(rate, port, "/empty/orders/prod"),
                "adapter": partial(rate, port, "/config/orders/prod"),
            },
            options,
        )
    report(rates, options, unit="requests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
