"""The examples of embedding in Starlette and FastAPI, behind a real ASGI server."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from litestar import Litestar
from starlette.applications import Starlette
from starlette.routing import Mount

from pyfly.config_litestar import ConfigServerPlugin
from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    ConfigSource,
    Controller,
    HealthSettings,
    HttpResponse,
    InMemoryConfigBackend,
    SharedCredential,
)
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Audience, Endpoint, Result

START_SECONDS = 60.0
TOKENS = {"starlette_app": "a-long-random-token", "fastapi_app": "key-of-orders"}
ORDERS = "/config/orders/prod"


@pytest.fixture(params=sorted(TOKENS), scope="module")
def example(
    request: pytest.FixtureRequest,
    checkout: Path,
    free_port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    """A client, with a credential, of a running example."""
    port, token = free_port(), TOKENS[request.param]
    log = tmp_path_factory.mktemp("example") / "output.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", f"{request.param}:app", "--port", str(port)],
            cwd=checkout / "docs" / "examples" / "embed",
            env=os.environ | {"CONFIG_TOKEN": token},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
            _wait_until_it_answers(client, process, log)
            yield client
    finally:
        process.terminate()
        assert process.wait(60) in {0, -15}
    assert "Traceback" not in log.read_text(encoding="utf-8")


def _wait_until_it_answers(client: httpx.Client, process: Any, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            client.get("/configuration")
        except httpx.TransportError:
            assert time.monotonic() < end, log.read_text(encoding="utf-8")
            time.sleep(0.05)
        else:
            return


def test_documents_come_from_below_the_mount(example: httpx.Client) -> None:
    answer = example.get(ORDERS)
    assert answer.status_code == 200, answer.text
    names = [source["name"] for source in answer.json()["propertySources"]]
    assert "main/orders-prod.yaml" in names
    known = example.get(ORDERS, headers={"If-None-Match": answer.headers["etag"]})
    assert known.status_code == 304
    assert example.get("/config/orders-prod.json").json()
    assert example.get("/config/_openapi.json").json()["servers"] == [{"url": "/config"}]


def test_routes_of_similar_names_stay_with_the_application(example: httpx.Client) -> None:
    assert "/config" in example.get("/configuration", headers={"Authorization": ""}).text
    for path in ("/configurations", "/config-x", "/other"):
        answer = example.get(path)
        assert answer.status_code == 404
        assert b"timestamp" not in answer.content


def test_a_credential_is_needed(example: httpx.Client) -> None:
    refused = example.get(ORDERS, headers={"Authorization": "Bearer wrong"})
    assert (refused.status_code, refused.json()["path"]) == (401, ORDERS)
    assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
def test_every_method_is_answered_by_the_server(example: httpx.Client, method: str) -> None:
    answer = example.request(method, ORDERS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_head_and_options_are_answered(example: httpx.Client) -> None:
    head, get = example.head(ORDERS), example.get(ORDERS)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert example.options(ORDERS).headers["allow"] == "GET, HEAD, OPTIONS"


def test_the_rights_of_a_principal_count(example: httpx.Client) -> None:
    """The shared credential may do everything, an API key of the example reads only."""
    listed = example.get("/config/_bundles")
    may_inspect = example.headers["authorization"] == f"Bearer {TOKENS['starlette_app']}"
    assert listed.status_code == (200 if may_inspect else 403)


# --- a client that goes -------------------------------------------------------------------


def held(started: asyncio.Event, gone: asyncio.Event) -> ConfigServerApp:
    """Return an application that holds requests for `/config/_held` until their client goes."""

    async def hold(context: RequestContext) -> HttpResponse:
        started.set()
        assert context.request.disconnected is not None
        await context.request.disconnected()
        gone.set()
        return HttpResponse(status=204)

    endpoint = Endpoint(
        id="held",
        path="/_held",
        access=Audience.ANY_PRINCIPAL,
        handler=hold,
        summary="Waits until the client goes.",
        results=(Result(status=204, description="Never seen."),),
    )
    server = ConfigServer(InMemoryConfigBackend())
    holding = ConfigServerApp(server, auth=None)
    holding._handle = Controller(server, auth=None, endpoints=(endpoint,)).handle
    return holding


@pytest.mark.anyio
@pytest.mark.parametrize("framework", ["none", "starlette", "litestar"])
async def test_a_held_request_hears_that_its_client_has_gone(
    framework: str, free_port: Callable[[], int]
) -> None:
    started, gone = asyncio.Event(), asyncio.Event()
    app: Any = held(started, gone)
    if framework == "starlette":
        app = Starlette(routes=[Mount("", app)])
    if framework == "litestar":
        plugin = ConfigServerPlugin(ConfigServer(InMemoryConfigBackend()), auth=None)
        plugin._front = app
        app = Litestar(plugins=[plugin])
    port = free_port()
    settings = uvicorn.Config(app, port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(settings)
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it by a flag only
            await asyncio.sleep(0.01)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /config/_held HTTP/1.1\r\nHost: config\r\n\r\n")
        await asyncio.wait_for(started.wait(), 30)
        assert not gone.is_set()
        writer.close()
        await writer.wait_closed()
        await asyncio.wait_for(gone.wait(), 30)
    finally:
        server.should_exit = True
        await asyncio.wait_for(running, 60)


# --- mounts -------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("mount", "base_path"),
    [("/config", ""), ("/outer", "/config"), ("", "/config"), ("/a b", "/x/y")],
)
async def test_any_mount_with_any_base_path_serves_the_same(mount: str, base_path: str) -> None:
    server = ConfigServer(InMemoryConfigBackend(), base_path=base_path)
    await server.bundles.save(ConfigSource(application="a", profile="b", properties={"x": 1}))
    app = ConfigServerApp(server, auth=SharedCredential.bearer("t"), health=HealthSettings())
    outer = Starlette(routes=[Mount(mount, app)])
    transport = httpx.ASGITransport(outer)
    headers = {"Authorization": "Bearer t"}
    prefix = f"{mount}{base_path}"
    async with httpx.AsyncClient(
        transport=transport, base_url="http://config", headers=headers
    ) as client:
        assert (await client.get(f"{prefix}/a/b")).json()["propertySources"]
        assert (await client.get(f"{mount}/health/ready")).json() == {"status": "up"}
        path = f"{prefix}/_bundles/new/b/feature(_)x"
        created = await client.put(path, json={"y": 2}, headers={"If-None-Match": "*"})
        assert created.status_code == 201, created.text
        assert created.headers["location"] == path.replace(" ", "%20")
        assert (await client.get(created.headers["location"])).json()["properties"] == {"y": 2}
