"""`/metrics` as a route of the server, and alone."""

import json
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    Controller,
    HealthSettings,
    HttpRequest,
    InMemoryConfigBackend,
    MetricsApp,
    SharedCredential,
    Telemetry,
)
from pyfly.config_server.live.exposition import MetricsPage

pytestmark = pytest.mark.anyio

TOKEN = {"authorization": "Bearer t"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()


class Client:
    """Sends requests to an ASGI application."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def send(self, method: str, path: str, **headers: str) -> Answer:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost")]
            + [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return Answer(
            status_code=sent[0]["status"],
            headers={name.decode(): value.decode() for name, value in sent[0]["headers"]},
            content=b"".join(message["body"] for message in sent[1:]),
        )


def make_app(telemetry: Telemetry | None) -> ConfigServerApp:
    return ConfigServerApp(
        ConfigServer(InMemoryConfigBackend()),
        auth=SharedCredential.bearer("t"),
        health=HealthSettings(),
        telemetry=telemetry,
    )


def lines(answer: Answer) -> set[str]:
    return {line for line in answer.text.splitlines() if "requests_total{" in line}


async def test_responses_are_counted_by_route_whatever_they_are() -> None:
    client = Client(make_app(Telemetry.with_metrics()))
    await client.send("GET", "/config/orders/prod", **TOKEN)
    await client.send("GET", "/config/billing/dev", **TOKEN)
    await client.send("GET", "/config/orders/prod/nope", **TOKEN)
    await client.send("POST", "/config/orders/prod", **TOKEN)
    await client.send("GET", "/config/orders/prod")
    await client.send("GET", "/config/a/b/main/nope.txt", **TOKEN)
    await client.send("GET", "/config/%00", **TOKEN)
    await client.send("GET", "/config", **TOKEN)
    await client.send("GET", "/health/live")
    answer = await client.send("GET", "/metrics", **TOKEN)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    name = "pyfly_config_http_requests_total"
    assert lines(answer) == {
        f'{name}{{route="environment",status="200"}} 2.0',
        f'{name}{{route="environment",status="405"}} 1.0',
        f'{name}{{route="environmentAtLabel",status="404"}} 1.0',
        f'{name}{{route="live",status="200"}} 1.0',
        f'{name}{{route="none",status="400"}} 1.0',
        f'{name}{{route="none",status="401"}} 1.0',
        f'{name}{{route="none",status="404"}} 1.0',
        f'{name}{{route="resource",status="404"}} 1.0',
    }
    assert "orders" not in answer.text
    assert "nope" not in answer.text


async def test_metrics_need_the_credential_and_answer_head() -> None:
    client = Client(make_app(Telemetry.with_metrics()))
    assert (await client.send("GET", "/metrics")).status_code == 401
    answer = await client.send("HEAD", "/metrics", **TOKEN)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await client.send("POST", "/metrics", **TOKEN)).status_code == 405


@pytest.mark.parametrize("telemetry", [None, Telemetry()])
async def test_disabled_metrics_say_so(telemetry: Telemetry | None) -> None:
    client = Client(make_app(telemetry))
    answer = await client.send("GET", "/metrics", **TOKEN)
    assert answer.status_code == 501
    assert json.loads(answer.content)["message"] == "metrics are disabled; set 'metrics' to true"


async def test_a_mounted_server_counts_and_has_no_route_for_metrics() -> None:
    telemetry = Telemetry.with_metrics()
    server = ConfigServer(InMemoryConfigBackend())
    app = ConfigServerApp(server, auth=None, telemetry=telemetry)
    client = Client(app)
    await client.send("GET", "/config/orders/prod")
    assert (await client.send("GET", "/metrics")).status_code == 404
    assert telemetry.counters.routes["environment"].statuses == {200: 1}


async def test_every_request_has_a_duration() -> None:
    telemetry = Telemetry()
    server = ConfigServer(InMemoryConfigBackend())
    controller = Controller(server, auth=None, telemetry=telemetry)
    request = HttpRequest(method="GET", raw_path=b"/config/orders/prod")
    assert (await controller.handle(request)).status == 200
    durations = telemetry.counters.routes["environment"].durations
    assert sum(durations.counts) == 1
    assert durations.sum > 0


async def test_the_loop_goes_on_while_metrics_are_rendered() -> None:
    rendered_in: list[threading.Thread] = []

    class Renderer:
        def render(self, *, accept: str, accept_encoding: str) -> MetricsPage:
            rendered_in.append(threading.current_thread())
            return MetricsPage(headers=[("content-type", accept)], body=b"a page")

    client = Client(MetricsApp(Renderer()))
    answer = await client.send("GET", "/metrics", accept="a/b")
    assert (answer.headers["content-type"], answer.content) == ("a/b", b"a page")
    assert rendered_in != [threading.current_thread()]


async def test_the_application_for_metrics_serves_nothing_else() -> None:
    telemetry = Telemetry.with_metrics()
    assert telemetry.metrics is not None
    client = Client(MetricsApp(telemetry.metrics))
    answer = await client.send("GET", "/metrics")
    assert "pyfly_config_workers 1.0" in answer.text
    head = await client.send("HEAD", "/metrics")
    assert head.headers["content-length"] == str(len(answer.content))
    assert head.content == b""
    for path in ("/", "/metrics/", "/config/orders/prod", "/health/live"):
        assert (await client.send("GET", path)).status_code == 404
    refused = await client.send("POST", "/metrics")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_the_application_for_metrics_has_no_lifespan() -> None:
    telemetry = Telemetry.with_metrics()
    assert telemetry.metrics is not None
    app: Any = MetricsApp(telemetry.metrics)
    with pytest.raises(RuntimeError, match="'lifespan'"):
        await app({"type": "lifespan"}, None, None)
