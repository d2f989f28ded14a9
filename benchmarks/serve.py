"""What serving a document costs: `pyfly-config serve` against an empty handler.

The command serves the example repository; the empty handler answers the same headers and bytes
without looking at the request; between them stands the same repository in memory, so that one
sees what the files cost. All three run on the same ASGI server with the same options and one
worker. A request needs six bundles, and connections are kept. Needs wrk (apt-get install wrk).
"""

import asyncio
import sys
from functools import partial

from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send

from _load import (
    EXAMPLES,
    asgi,
    compare,
    free_port,
    get,
    need_wrk,
    program,
    rate,
    read_options,
    report,
    running,
)
from pyfly.config_litestar import create_app
from pyfly.config_server import (
    ConfigServer,
    Controller,
    FilesystemConfigBackend,
    HttpRequest,
    InMemoryConfigBackend,
)

PATH = "/config/orders/prod,eu/main"


def make_empty() -> ASGIApp:
    """Answer everything with what the files give."""
    controller = Controller(ConfigServer(FilesystemConfigBackend(EXAMPLES)), auth=None)
    ready = asyncio.run(controller.handle(HttpRequest(method="GET", raw_path=PATH.encode())))

    async def empty(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": ready.headers})
        await send({"type": "http.response.body", "body": ready.body, "more_body": False})

    return empty


def make_memory() -> Litestar:
    """Serve the examples from memory."""
    backend = InMemoryConfigBackend()
    asyncio.run(_copy(FilesystemConfigBackend(EXAMPLES), backend))
    return create_app(ConfigServer(backend), auth=None)


async def _copy(files: FilesystemConfigBackend, memory: InMemoryConfigBackend) -> None:
    for source in await files.list():
        await memory.save(source)


def without_date(answer: tuple[dict[str, str], bytes]) -> tuple[dict[str, str], bytes]:
    """Return headers and body, but for the header that changes every second."""
    headers, body = answer
    return {name: value for name, value in headers.items() if name.lower() != "date"}, body


def main() -> int:
    options = read_options(__doc__)
    need_wrk()
    empty, memory, files = free_port(), free_port(), free_port()
    command = [program("pyfly-config"), "serve", str(EXAMPLES), "--port", str(files)]
    with (
        running(asgi(empty, "serve:make_empty"), empty, PATH),
        running(asgi(memory, "serve:make_memory"), memory, PATH),
        running(command, files, PATH),
    ):
        if without_date(get(empty, PATH)) != without_date(get(files, PATH)):
            raise RuntimeError("the answers differ")
        ports = {"empty": empty, "memory": memory, "files": files}
        rates = compare({name: partial(rate, port, PATH) for name, port in ports.items()}, options)
    report(rates, options, unit="requests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
