import asyncio
import logging
from typing import Any

import httpx
import pytest
from litestar import Controller, Litestar, Request, Response, Router, get, post
from litestar.connection import ASGIConnection
from litestar.exceptions import ImproperlyConfiguredException, NotAuthorizedException
from litestar.handlers import BaseRouteHandler, asgi
from litestar.static_files import create_static_files_router
from litestar.testing import TestClient
from litestar.types import ASGIApp, Receive, Scope, Send

from pyfly.config_litestar import ConfigServerPlugin, create_app
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    HostPolicy,
    InMemoryConfigBackend,
    ProxyPolicy,
    SharedCredential,
)

CREDENTIAL = SharedCredential.basic(username="reader", password="open sesame")


@get("/configuration")
async def configuration() -> str:
    return "neighbour"


@get("/configs/{name:str}")
async def named(request: Request[Any, Any, Any]) -> str:
    return f"neighbour {request.path_params['name']}"


@get("/")
async def home() -> str:
    return "home"


def make_server(**options: Any) -> ConfigServer:
    return ConfigServer(InMemoryConfigBackend(), **options)


@pytest.fixture
def host(tmp_path: Any) -> Any:
    (tmp_path / "page.txt").write_text("static neighbour", encoding="utf-8")
    static = create_static_files_router("/config-files", [tmp_path])
    app = Litestar(
        [configuration, named, home, static],
        plugins=[ConfigServerPlugin(make_server(), auth=None)],
    )
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/configuration", "neighbour"),
        ("/configs/x", "neighbour x"),
        ("/config-files/page.txt", "static neighbour"),
        ("/", "home"),
    ],
)
def test_neighbours_of_similar_names_keep_working(host: Any, path: str, text: str) -> None:
    answer = host.get(path)
    assert (answer.status_code, answer.text) == (200, text)


@pytest.mark.parametrize("path", ["/configurations", "/config-x", "/configs", "/other"])
def test_what_is_nobodys_is_litestars_404(host: Any, path: str) -> None:
    answer = host.get(path)
    assert answer.status_code == 404
    assert "timestamp" not in answer.json()


def test_a_neighbours_wrong_method_is_its_own_405(host: Any) -> None:
    assert host.post("/configuration").status_code == 405


@pytest.mark.parametrize(
    "path", ["/config", "/config/", "/config/orders", "/config/orders/dev.yml"]
)
def test_what_is_below_the_base_path_is_answered_by_the_controller(host: Any, path: str) -> None:
    answer = host.get(path)
    assert answer.status_code == 404
    assert answer.json()["message"] == "no such route"


ORDERS = "/config/orders/prod"
READING = "GET, HEAD, OPTIONS"


class Neighbours(Controller):
    path = "/config-of"

    @get("/{name:str}")
    async def named(self, request: Request[Any, Any, Any]) -> str:
        return f"controller {request.path_params['name']}"

    @post("/")
    async def create(self) -> str:
        return "created"


@get("/{page:str}")
async def page(request: Request[Any, Any, Any]) -> str:
    return f"page {request.path_params['page']}"


@get("/ured/{rest:path}")
async def below(request: Request[Any, Any, Any]) -> str:
    return f"router {request.path_params['rest']}"


def served(*handlers: Any, **options: Any) -> Any:
    plugin = ConfigServerPlugin(make_server(**options), auth=None)
    return TestClient(Litestar([*handlers], plugins=[plugin], openapi_config=None))


def check_configuration(client: Any, base_path: str = "/config") -> None:
    orders = f"{base_path}/orders/prod"
    assert client.get(orders).json()["name"] == "orders"
    head = client.head(orders)
    assert (head.status_code, head.content) == (200, b"")
    assert client.options(orders).headers["allow"] == READING
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        answer = client.request(method, orders)
        assert (answer.status_code, answer.headers["allow"]) == (405, READING)
    written = client.put(f"{base_path}/_bundles/orders/prod/main", json={"a": 1})
    assert (written.status_code, written.json()["code"]) == (403, "forbidden")
    assert client.get(f"{base_path}/orders").json()["message"] == "no such route"
    assert client.get(f"{base_path}/orders/prod/main/no.txt").status_code == 404


def test_every_kind_of_neighbour_keeps_its_paths() -> None:
    with served(Neighbours, page, configuration, Router("/config-s", route_handlers=[below])) as c:
        check_configuration(c)
        assert c.get("/config-of/x").text == "controller x"
        assert c.post("/config-of").text == "created"
        assert c.get("/configuration").text == "neighbour"
        assert c.get("/configx").text == "page configx"
        assert c.get("/config-s/ured/a/b").text == "router /a/b"
        assert c.post("/configx").status_code == 405
        assert c.get("/config-of/x/y").status_code == 404


def test_a_route_of_the_application_below_the_base_path_stays_its_own() -> None:
    with served(Router("/config", route_handlers=[below])) as client:
        check_configuration(client)
        assert client.get("/config/ured/x/y").text == "router /x/y"


def test_what_is_registered_later_keeps_its_paths() -> None:
    app = Litestar(plugins=[ConfigServerPlugin(make_server(), auth=None)], openapi_config=None)
    app.register(configuration)
    app.register(page)
    with TestClient(app) as client:
        check_configuration(client)
        assert client.get("/configuration").text == "neighbour"
        assert client.get("/configx").text == "page configx"


@pytest.mark.parametrize("base_path", ["", "/config", "/a/b.c"])
def test_the_plugin_works_at_any_base_path_beside_other_routes(base_path: str) -> None:
    with served(home, configuration, Neighbours, base_path=base_path) as client:
        check_configuration(client, base_path)
        assert client.get("/").text == "home"
        assert client.get("/configuration").text == "neighbour"
        assert client.get("/config-of/x").text == "controller x"


def test_the_plugin_works_below_an_outer_root_path() -> None:
    app = Litestar([configuration], plugins=[ConfigServerPlugin(make_server(), auth=None)])
    with TestClient(app, root_path="/outer") as client:
        check_configuration(client)
        assert client.get("/configuration").text == "neighbour"


@pytest.mark.parametrize("mount", ["/", "/con", "/config"])
def test_a_mount_that_hides_the_configuration_is_refused(mount: str) -> None:
    @asgi(mount, is_mount=True, copy_scope=True)
    async def everything(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("never called")

    with pytest.raises(ImproperlyConfiguredException, match="could not be reached"):
        served(everything)


def test_guards_and_middleware_of_the_application_apply() -> None:
    seen: list[str] = []

    def middleware(app: ASGIApp) -> ASGIApp:
        async def watch(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["path"])
            await app(scope, receive, send)

        return watch

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        if "x-user" not in connection.headers:
            raise NotAuthorizedException

    plugin = ConfigServerPlugin(make_server(), auth=None)
    with TestClient(Litestar(plugins=[plugin], guards=[guard], middleware=[middleware])) as client:
        assert client.get(ORDERS).status_code == 401
        assert client.get(ORDERS, headers={"X-User": "ada"}).status_code == 200
    assert seen == [ORDERS, ORDERS]


def test_hooks_and_formats_of_the_application_do_not_change_the_documents() -> None:
    async def answer_all(request: Request[Any, Any, Any]) -> str:
        return "hooked"

    async def mark(response: Response[Any]) -> Response[Any]:
        response.headers["x-hook"] = "after"
        return response

    @get("/configuration")  # of its own: Litestar keeps the hooks of a handler's first application
    async def hooked_handler() -> str:
        raise AssertionError("never called")

    app = Litestar(
        [hooked_handler],
        plugins=[ConfigServerPlugin(make_server(), auth=None)],
        before_request=answer_all,
        after_request=mark,
        response_headers={"x-app": "1"},
    )
    with TestClient(app) as client:
        hooked = client.get("/configuration")
        assert (hooked.text, hooked.headers["x-hook"]) == ("hooked", "after")
        check_configuration(client)


def test_the_routes_are_not_in_the_openapi_document_of_the_application(host: Any) -> None:
    paths = host.get("/schema/openapi.json").json()["paths"]
    assert "/configuration" in paths
    assert not [path for path in paths if path.startswith("/config/")]


def test_the_document_is_served_below_the_base_path(host: Any) -> None:
    answer = host.get("/config/orders/prod")
    assert (answer.status_code, answer.json()["propertySources"]) == (200, [])


@pytest.mark.parametrize("base_path", ["", "/config", "/a/b.c"])
def test_any_base_path_works(base_path: str) -> None:
    with TestClient(create_app(make_server(base_path=base_path), auth=None)) as client:
        assert client.get(f"{base_path}/orders/prod").json()["name"] == "orders"
        assert client.get("/health/live").json() == {"status": "up"}
        assert client.get(f"{base_path}/_openapi.json").json()["openapi"] == "3.1.0"


def test_an_outer_root_path_is_not_part_of_the_route() -> None:
    app = create_app(make_server(), auth=None)
    with TestClient(app, root_path="/outer") as client:
        assert client.get("/config/orders/prod").status_code == 200


def test_a_credential_is_asked_for_and_health_is_not() -> None:
    with TestClient(create_app(make_server(), auth=CREDENTIAL)) as client:
        for wrong in (None, ("reader", "wrong"), ("", "")):
            answer = client.get("/config/orders/prod", auth=wrong)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic")
        assert client.get("/config/_openapi.json").status_code == 401
        assert client.get("/config/nothing").status_code == 401
        assert client.get("/config/orders/prod", auth=("reader", "open sesame")).status_code == 200
        assert client.get("/health/live").status_code == 200
        assert client.get("/actuator/health").json() == {"status": "UP"}
        assert client.get("/health/ready").status_code == 200


def test_names_are_checked_on_every_path_but_those_of_health() -> None:
    policy = HostPolicy(allowed=frozenset({"config.corp"}))

    def app() -> Litestar:
        return create_app(make_server(), auth=None, hosts=policy)

    with TestClient(app(), base_url="http://evil.example:8888") as client:
        for path in ("/config/orders/prod", "/config/x", "/config", "/", "/elsewhere", "/configx"):
            assert client.get(path).status_code == 421, path
            page = {"Host": "localhost", "Sec-Fetch-Site": "cross-site"}
            assert client.get(path, headers=page).status_code == 403, path
        for path in ("/health/live", "/health/ready", "/actuator/health"):
            assert client.get(path).status_code == 200, path
    with TestClient(app(), base_url="http://config.corp") as client:
        assert client.get("/config/orders/prod").status_code == 200
        assert client.get("/elsewhere").status_code == 404


def test_headers_of_proxies_are_refused_from_others_on_every_path_but_those_of_health() -> None:
    policy = ProxyPolicy(trusted=["10.0.0.5"], identity_header="X-Client-Subject")
    ready = create_app(make_server(), auth=None, proxies=policy, live=None)
    plugin = ConfigServerPlugin(make_server(), auth=None, proxies=policy, live=None)
    embedding = Litestar(plugins=[plugin])

    async def status(path: str, header: str, *, sender: str, app: Litestar = ready) -> int:
        untyped: Any = app  # Litestar has its own ASGI types
        transport = httpx.ASGITransport(app=untyped, client=(sender, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://config") as client:
            return (await client.get(path, headers={header: "192.0.2.1"})).status_code

    async def check() -> None:
        for header in ("X-Client-Subject", "X-Forwarded-For"):
            for path in ("/config/orders/prod", "/config/x", "/config", "/", "/elsewhere"):
                assert await status(path, header, sender="10.0.0.6") == 400, path
            for path in ("/health/live", "/health/ready", "/actuator/health"):
                assert await status(path, header, sender="10.0.0.6") == 200, path
            assert await status("/config/orders/prod", header, sender="10.0.0.5") == 200
            assert await status("/elsewhere", header, sender="10.0.0.5") == 404
            path = "/config/orders/prod"
            assert await status(path, header, sender="10.0.0.6", app=embedding) == 400
            assert await status(path, header, sender="10.0.0.5", app=embedding) == 200

    asyncio.run(check())


def test_nothing_is_checked_where_an_application_embeds_the_plugin(host: Any) -> None:
    answer = host.get("/config/orders/prod", headers={"Host": "any", "Origin": "null"})
    assert answer.status_code == 200


def test_a_bearer_token_is_taken() -> None:
    with TestClient(create_app(make_server(), auth=SharedCredential.bearer("t0k3n"))) as client:
        good = {"Authorization": "bearer t0k3n"}
        assert client.get("/config/orders/prod", headers=good).status_code == 200
        for wrong in ("Bearer other", "Basic t0k3n", "Bearer", "Bearer t0k3n x", "\xff"):
            headers = {b"Authorization": wrong.encode("latin-1")}
            assert client.get("/config/orders/prod", headers=headers).status_code == 401


def test_empty_basic_credentials_count_as_none_on_an_open_server() -> None:
    with TestClient(create_app(make_server(), auth=None)) as client:
        assert client.get("/config/orders/prod", auth=("", "")).status_code == 200


def test_the_auth_argument_has_no_default() -> None:
    arguments: Any = {}
    with pytest.raises(TypeError, match="auth"):
        ConfigServerPlugin(make_server(), **arguments)


async def _never() -> None:
    password = "marker" + str(-3) + "f"  # not spelled out: a traceback shows the source
    raise RuntimeError(password)


class Broken:
    """A third-party store that fails in its own way."""

    async def fetch(self, application: str, profile: str, label: str = "main") -> None:
        await _never()

    async def save(self, source: ConfigSource) -> None:
        await _never()

    async def list(self) -> list[ConfigSource]:
        await _never()
        return []


def test_a_failure_of_a_third_party_store_is_a_500_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with TestClient(create_app(ConfigServer(Broken()), auth=None)) as client:
        answer = client.get("/config/orders/prod")
    assert answer.status_code == 500
    assert "marker-3f" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text
    assert "test_plugin.py" in caplog.text


def test_the_server_is_not_ready_when_its_store_is_not() -> None:
    backend = InMemoryConfigBackend()
    with TestClient(create_app(ConfigServer(backend), auth=None)) as client:
        assert client.get("/health/ready").json() == {"status": "up"}
        assert client.head("/health/ready").content == b""
        assert client.post("/health/live").status_code == 405
        assert client.options("/health/live").headers["allow"] == "GET, HEAD, OPTIONS"
        backend._closed = True
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()) == (503, {"status": "down"})
        assert client.get("/health/live").status_code == 200
        assert client.get("/actuator/health").json() == {"status": "DOWN"}
