"""What the Litestar adapter costs: request rates against an empty handler mounted in Litestar.

All send the same bytes. The plugin is a route of Litestar, the ready-made application answers in
front of Litestar; both go through `HttpRequest`, a controller that answers ready bytes, and
`HttpResponse`. The server is the one of `pyfly-config serve`, with one worker. Needs `wrk`
(apt-get install wrk).
"""

import sys
from functools import partial
from typing import Any

from litestar import Litestar
from litestar.handlers import asgi as handler
from litestar.types import Receive, Scope, Send

from _load import compare, read_options, report
from _processes import asgi, free_port, need_wrk, rate, running
from pyfly.config_litestar import ConfigServerPlugin, ReadyApp, create_asgi_app
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


def answer_without_work() -> None:
    """Replace the controller of the applications that are made from here on."""
    import pyfly.config_server.http.asgi as asgi_app  # noqa: PLC0415

    class Ready:
        root_paths: frozenset[str] = frozenset()

        def __init__(self, *args: Any, **options: Any) -> None:
            self.handle = answer_ready

    asgi_app.Controller = Ready  # type: ignore[assignment, misc]


def make_embedding() -> Litestar:
    """Return an application with the plugin and the empty handler."""
    answer_without_work()
    server = ConfigServer(InMemoryConfigBackend())
    plugin = ConfigServerPlugin(server, auth=None, live=None)
    return Litestar([empty], plugins=[plugin], openapi_config=None)


def make_ready_made() -> ReadyApp:
    """Return the ready-made application."""
    answer_without_work()
    return create_asgi_app(ConfigServer(InMemoryConfigBackend()), auth=None, live=None)


def main() -> int:
    options = read_options(__doc__)
    need_wrk()
    embedding, ready_made = free_port(), free_port()
    path = "/config/orders/prod"
    with (
        running(asgi(embedding, "adapter:make_embedding"), embedding, "/empty/"),
        running(asgi(ready_made, "adapter:make_ready_made"), ready_made, path),
    ):
        rates = compare(
            {
                "empty": partial(rate, embedding, "/empty/orders/prod"),
                "plugin": partial(rate, embedding, path),
                "ready-made": partial(rate, ready_made, path),
            },
            options,
        )
    report(rates, options, unit="requests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
