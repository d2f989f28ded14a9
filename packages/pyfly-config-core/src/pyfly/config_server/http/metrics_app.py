"""An ASGI application that serves the metrics of the server and nothing else."""

from pyfly.config_server.http.asgi import Receive, Scope, Send, http_request
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest, HttpResponse
from pyfly.config_server.http.metrics_responder import MetricsResponder
from pyfly.config_server.http.responses import error_response
from pyfly.config_server.live.exposition import MetricsRenderer

__all__ = ["MetricsApp"]


class MetricsApp:
    """Serves `/metrics` and nothing else as an ASGI application, without a credential.

    Run it on an address of its own, or mount it where your application controls access.

    Args:
        renderer: Renders the metrics.
    """

    def __init__(self, renderer: MetricsRenderer) -> None:
        self._responder = MetricsResponder(renderer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"metrics are served over HTTP, not over {scope['type']!r}")
        request = http_request(scope, receive)
        try:
            response = await self._respond(request)
        except HttpError as error:
            response = error_response(request, error)
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": response.headers,
            }
        )
        body = b"" if request.method == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, request: HttpRequest) -> HttpResponse:
        if request.raw_path != b"/metrics":
            raise HttpError(404, "no-such-route", "no such route; see /metrics")
        if request.method not in {"GET", "HEAD"}:
            allow = (b"allow", b"GET, HEAD")
            raise HttpError(405, "method-not-allowed", headers=(allow,))
        return await self._responder.respond(request)
