"""pydantic-settings reads from the server, below everything else."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pyfly.config_client import Properties, SyncConfigClient
from pyfly.config_client.settings import from_config_server
from pyfly.config_client.testing import FakeConfigServer
from pyfly.config_client.transport import Exchange, HttpRequest, HttpxTransport

PATIENCE = 60.0


class Pool(BaseModel):
    size: int = 1
    wait: timedelta = timedelta(seconds=1)


@pytest.fixture
def put(config_server: FakeConfigServer) -> None:
    config_server.put(
        "orders",
        "prod",
        {
            "app": {
                "max-items": "200",
                "pool": {"size": 9, "wait": "30s"},
                "other": 1,
                "tags": "a,b",
            }
        },
    )


def test_a_settings_class_is_filled_in_two_lines(
    put: None, config_server: FakeConfigServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Settings(BaseSettings):
        settings_customise_sources = from_config_server(
            config_server.client("orders", "prod"), prefix="app"
        )

        max_items: int = 100
        pool: Pool = Pool()
        tags: list[str] = []
        untouched: str = "default"

    found = Settings()
    assert (found.max_items, found.tags, found.untouched) == (200, ["a", "b"], "default")
    assert found.pool == Pool(size=9, wait=timedelta(seconds=30))
    monkeypatch.setenv("MAX_ITEMS", "300")
    assert Settings().max_items == 300
    assert Settings(max_items=400).max_items == 400


class HangingTransport(HttpxTransport):
    """Hangs in the process that made it; answers in its children."""

    def __init__(self, server: FakeConfigServer) -> None:
        super().__init__()
        self.started, self.released = threading.Event(), threading.Event()
        self._server = server
        self._process = os.getpid()

    def start(self, request: HttpRequest) -> Exchange:
        self.started.set()
        if os.getpid() == self._process:
            self.released.wait(PATIENCE)
        return self._server.start(request)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_forked_while_a_thread_fetches_does_not_wait_for_it(
    put: None, config_server: FakeConfigServer
) -> None:
    transport = HangingTransport(config_server)
    client = config_server.client("orders", "prod", transport=transport)

    class Settings(BaseSettings):
        settings_customise_sources = from_config_server(client, prefix="app")

        max_items: int = 100

    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(Settings)
        assert transport.started.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # ends it if it waits for ever
            os._exit(0 if Settings().max_items == 200 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        transport.released.set()
        assert first.result().max_items == 200


def test_without_a_client_the_environment_names_the_server(
    put: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYFLY_CONFIG_URL", "http://config:8888")
    monkeypatch.setenv("PYFLY_CONFIG_APPLICATION", "orders")
    monkeypatch.setenv("PYFLY_CONFIG_PROFILE", "prod")

    class Settings(BaseSettings):
        settings_customise_sources = from_config_server(prefix="app")

        max_items: int

    assert Settings().max_items == 200  # pyright: ignore[reportCallIssue]


def test_what_was_fetched_before_is_a_source_too(
    put: None, config_server: FakeConfigServer
) -> None:
    properties = config_server.client("orders", "prod").fetch()
    options: Any = {"source": properties, "prefix": "app"}

    class Settings(BaseSettings):
        settings_customise_sources = from_config_server(**options)

        max_items: int = 0

    assert Settings().max_items == 200


# --- how often the server is asked ----------------------------------------------------


@pytest.fixture
def asked(server: Any, document: dict[str, Any]) -> list[str]:
    """The requests to a server, as they come in."""
    server.answer_json(document)
    return server.requests


def client_of(server: Any) -> SyncConfigClient:
    return SyncConfigClient(server_url=server.url, application="orders", profile="prod")


def test_a_client_fetches_once_for_all_classes_and_instances(server: Any, asked: list[str]) -> None:
    client = client_of(server)

    class First(BaseSettings):
        settings_customise_sources = from_config_server(client, prefix="db")
        url: str

    class Second(BaseSettings):
        settings_customise_sources = from_config_server(client)
        hosts: list[str]

    assert asked == []
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(lambda: First()) for _ in range(4)]  # noqa: PLW0108 # pyright: ignore[reportCallIssue]
    assert {one.result().url for one in found} == {"marker-value"}
    assert Second().hosts == ["c"]  # pyright: ignore[reportCallIssue]
    assert len(asked) == 1
    client.fetch()
    assert (First().url, len(asked)) == ("marker-value", 2)  # pyright: ignore[reportCallIssue]


def test_every_instance_fetches_if_it_is_told_to(server: Any, asked: list[str]) -> None:
    class Settings(BaseSettings):
        settings_customise_sources = from_config_server(
            client_of(server), prefix="db", refetch=True
        )
        url: str

    assert [Settings().url for _ in range(3)] == ["marker-value"] * 3  # pyright: ignore[reportCallIssue]
    assert len(asked) == 3


def test_a_test_double_is_asked_each_time(config_server: FakeConfigServer) -> None:
    class Settings(BaseSettings):
        settings_customise_sources = from_config_server(config_server.client("orders"))
        size: int = 0

    for size in (1, 2):
        config_server.put("orders", "default", {"size": size})
        assert Settings().size == size


# --- what is read ---------------------------------------------------------------------


class Strange(BaseSettings):
    settings_customise_sources = from_config_server(
        Properties.of(
            {
                "size": "marker",
                "wait": 30,
                "maybe": "",
                "MAX-ITEMS": "5",
                "pool": {"size": "7", "wait": "2s"},
                "unread": "${unread}",
                "price": {"4711001": 1.5},
            }
        )
    )
    model_config = SettingsConfigDict(env_nested_delimiter="__")

    size: int = 0
    wait: timedelta = timedelta()
    maybe: int | None = 5
    MAX_ITEMS: int = 1
    pool: Pool = Pool()


def test_what_does_not_fit_is_refused_without_its_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Strange()
    text = str(caught.value)
    assert "input_value=<is not int>" in text
    assert "input_value=<is not a duration " in text
    assert "marker" not in text


def test_what_outranks_the_server_covers_what_does_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POOL__SIZE", "8")
    found = Strange(size=3, wait=timedelta(seconds=1))
    assert (found.size, found.maybe, found.MAX_ITEMS) == (3, None, 5)
    assert found.pool == Pool(size=8, wait=timedelta(seconds=2))
