"""Liveness and readiness, for stores that know no more than the three methods."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import BackendUnavailableError, ConfigFormatError, InvalidConfigKeyError
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Controller,
    FilesystemConfigBackend,
    HealthRepository,
    HealthSettings,
    HttpRequest,
    ServerOptions,
)


class ThreeMethods:
    """Raises what it is told from every `fetch`."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def fetch(
        self, application: str, profile: str, label: str = "main"
    ) -> ConfigSource | None:
        if self.error is not None:
            raise self.error
        return None

    async def save(self, source: ConfigSource) -> None:
        raise AssertionError("never called")

    async def list(self) -> list[ConfigSource]:
        return []


def controller(server: ConfigServer, settings: HealthSettings | None = None) -> Controller:
    return Controller(server, auth=None, health=settings or HealthSettings())


def status(path: str, error: Exception | None, method: str = "GET") -> int:
    health = controller(ConfigServer(ThreeMethods(error)))
    request = HttpRequest(method=method, raw_path=path.encode())
    return asyncio.run(health.handle(request)).status


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(None, 200, id="fine"),
        pytest.param(ConfigFormatError("broken"), 200, id="one bundle is broken"),
        pytest.param(BackendUnavailableError("gone"), 503, id="unavailable"),
        pytest.param(RuntimeError("password=hunter2"), 503, id="an error of a third-party store"),
    ],
)
def test_ready_says_whether_the_store_can_be_read(
    error: Exception | None, expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert status("/health/ready", error) == expected
    assert "hunter2" not in caplog.text
    assert status("/health/live", error) == 200


@pytest.mark.parametrize("path", ["/health/ready", "/actuator/health"])
def test_a_failed_probe_is_logged_once(path: str, caplog: pytest.LogCaptureFixture) -> None:
    health = controller(ConfigServer(ThreeMethods(BackendUnavailableError("gone"))))
    request = HttpRequest(method="GET", raw_path=path.encode())
    for _ in range(5):
        assert asyncio.run(health.handle(request)).status == 503
    (message,) = caplog.messages
    assert path in message
    assert "gone; not logged again while it goes on" in message


def test_other_paths_and_methods_are_refused() -> None:
    assert status("/health", None) == 404
    assert status("/health/live", None, "POST") == 405
    assert status("/health/live", None, "OPTIONS") == 200


def test_a_store_that_hangs_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(ThreeMethods):
        async def fetch(
            self, application: str, profile: str, label: str = "main"
        ) -> ConfigSource | None:
            await asyncio.Event().wait()
            return None

    monkeypatch.setattr("pyfly.config_server.http.endpoints.operations.CHECK_SECONDS", 0.01)
    health = controller(ConfigServer(Hanging(None)))
    request = HttpRequest(method="GET", raw_path=b"/health/ready")
    assert asyncio.run(health.handle(request)).status == 503


@pytest.mark.parametrize("show_details", [False, True])
@pytest.mark.case(98)
def test_springs_health_tells_whether_a_document_can_be_composed(
    tmp_path: Path, show_details: bool
) -> None:
    (tmp_path / "main").mkdir()
    (tmp_path / "main/application-default.yaml").write_text("a: 1\n", encoding="utf-8")
    server = ConfigServer(FilesystemConfigBackend(tmp_path))
    health = controller(server, HealthSettings(show_details=show_details))

    def ask() -> tuple[int, Any]:
        request = HttpRequest(method="GET", raw_path=b"/actuator/health")
        answer = asyncio.run(health.handle(request))
        return answer.status, json.loads(answer.body)

    up: Any = {"status": "UP"}
    repository = {"name": "app", "profiles": ["default"], "label": None}
    found = [repository | {"sources": ["main/application-default.yaml"]}]
    details: Any = {"status": "UP", "details": {"repositories": found}}
    assert ask() == (200, up | ({"components": {"configServer": details}} if show_details else {}))
    (tmp_path / "main").rename(tmp_path / "away")
    code, document = ask()
    assert (code, document["status"]) == (503, "DOWN")
    if show_details:
        details = document["components"]["configServer"]["details"]
        assert details == {
            "repository": {"application": "app", "profiles": "default"},
            "error": "label 'main' does not exist",
        }


def test_springs_health_tells_that_nothing_may_be_empty() -> None:
    server = ConfigServer(ThreeMethods(None), options=ServerOptions(accept_empty=False))
    request = HttpRequest(method="GET", raw_path=b"/actuator/health")
    health = controller(server, HealthSettings(show_details=True))
    document = json.loads(asyncio.run(health.handle(request)).body)
    assert document["components"]["configServer"]["details"]["acceptEmpty"] is False


def test_springs_health_does_not_show_the_error_of_a_third_party_store() -> None:
    server = ConfigServer(ThreeMethods(RuntimeError("password=hunter2")))
    request = HttpRequest(method="GET", raw_path=b"/actuator/health")
    answer = asyncio.run(controller(server, HealthSettings(show_details=True)).handle(request))
    assert answer.status == 503
    assert b"the store raised RuntimeError" in answer.body
    assert b"hunter2" not in answer.body


def test_what_is_fetched_and_what_is_said_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "orders-prod.yaml").write_text("a: 1\n", encoding="utf-8")
    server = ConfigServer(FilesystemConfigBackend(tmp_path))
    orders = HealthRepository(name="orders", profiles="prod,eu", label="main")
    nowhere = HealthRepository(name="orders", label="nowhere")

    def ask(**settings: Any) -> tuple[int, Any]:
        health = controller(server, HealthSettings(show_details=True, **settings))
        request = HttpRequest(method="GET", raw_path=b"/actuator/health")
        answer = asyncio.run(health.handle(request))
        return answer.status, json.loads(answer.body)

    code, document = ask(repositories=(orders, HealthRepository(name="none")))
    assert code == 200
    assert document["components"]["configServer"]["details"]["repositories"] == [
        {
            "name": "orders",
            "profiles": ["prod", "eu"],
            "label": "main",
            "sources": ["main/orders-prod.yaml"],
        },
        {"name": "none", "profiles": ["default"], "label": None},
    ]
    code, document = ask(repositories=(orders, nowhere))
    assert (code, document["status"]) == (503, "DOWN")
    details = document["components"]["configServer"]["details"]
    assert details["repository"] == {"application": "orders", "profiles": "default"}
    for word, expected in (("OUT_OF_SERVICE", 503), ("UNKNOWN", 200)):
        code, document = ask(repositories=(nowhere,), down_status=word)
        assert (code, document["status"]) == (expected, word)
    assert ask(repositories=(nowhere,), enabled=False)[0] == 200


@pytest.mark.parametrize("names", [{"name": "../x"}, {"name": "a", "profiles": "b c"}])
def test_a_repository_that_cannot_be_is_refused(names: Any) -> None:
    with pytest.raises(InvalidConfigKeyError):
        HealthRepository(**names)
