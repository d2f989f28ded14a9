"""`GET /metrics`: what the server counts, for Prometheus."""

from typing import Final

from pyfly.config_server.access import Right
from pyfly.config_server.http.authorization import server_right
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Endpoint, Root
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpResponse
from pyfly.config_server.http.results import PLAIN_TEXT

__all__ = ["ENDPOINTS"]


async def _metrics(context: RequestContext) -> HttpResponse:
    if context.metrics is None:
        raise HttpError(501, "metrics-disabled", "metrics are disabled; set 'metrics' to true")
    return await context.metrics.respond(context.request)


ENDPOINTS: Final = (
    Endpoint(
        id="metrics",
        path="/metrics",
        root=Root.HOST,
        access=Right.OPERATE,
        check=server_right,
        handler=_metrics,
        summary="The metrics of the server in Prometheus' text format or as OpenMetrics.",
        results=PLAIN_TEXT,
        errors={501: "Metrics are disabled."},
    ),
)
