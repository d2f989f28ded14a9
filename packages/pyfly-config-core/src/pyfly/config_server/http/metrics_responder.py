"""Responses with the metrics of the server."""

import asyncio

from pyfly.config_server.http.messages import HttpRequest, HttpResponse
from pyfly.config_server.http.responses import SECURITY_HEADERS
from pyfly.config_server.live.exposition import MetricsRenderer

__all__ = ["MetricsResponder"]


class MetricsResponder:
    """Answers requests for metrics: one at a time, in a thread.

    Args:
        renderer: Renders the metrics.
    """

    def __init__(self, renderer: MetricsRenderer) -> None:
        self._renderer = renderer
        self._turn = asyncio.Lock()

    async def respond(self, request: HttpRequest) -> HttpResponse:
        """Return the metrics of this moment, in the format that the client prefers."""
        accept = (request.header(b"accept") or b"").decode("latin-1")
        encoding = (request.header(b"accept-encoding") or b"").decode("latin-1")
        async with self._turn:
            page = await asyncio.to_thread(
                self._renderer.render, accept=accept, accept_encoding=encoding
            )
        headers = [(name.encode(), value.encode()) for name, value in page.headers]
        headers += [(b"content-length", b"%d" % len(page.body)), *SECURITY_HEADERS]
        return HttpResponse(status=200, headers=headers, body=page.body)
