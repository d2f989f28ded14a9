import logging
from typing import Any

import pytest
from litestar import Litestar, Request, get
from litestar.static_files import create_static_files_router
from litestar.testing import TestClient

from pyfly.config_litestar import ConfigServerPlugin, create_app
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    HostPolicy,
    InMemoryConfigBackend,
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
    """A stranger's store that fails in its own way."""

    async def fetch(self, application: str, profile: str, label: str = "main") -> None:
        await _never()

    async def save(self, source: ConfigSource) -> None:
        await _never()

    async def list(self) -> list[ConfigSource]:
        await _never()
        return []


def test_a_strangers_failure_is_a_500_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
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
