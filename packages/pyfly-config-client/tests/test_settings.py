"""pydantic-settings reads from the server, below everything else."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from pyfly.config_client.settings import from_config_server
from pyfly.config_client.testing import ConfigServerDouble


class Pool(BaseModel):
    size: int = 1
    wait: timedelta = timedelta(seconds=1)


@pytest.fixture
def put(config_server: ConfigServerDouble) -> None:
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
    put: None, config_server: ConfigServerDouble, monkeypatch: pytest.MonkeyPatch
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
    put: None, config_server: ConfigServerDouble
) -> None:
    properties = config_server.client("orders", "prod").fetch()
    options: Any = {"source": properties, "prefix": "app"}

    class Settings(BaseSettings):
        settings_customise_sources = from_config_server(**options)

        max_items: int = 0

    assert Settings().max_items == 200
