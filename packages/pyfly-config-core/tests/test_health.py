"""Liveness and readiness, for stores that know no more than the three methods."""

import asyncio
import logging

import pytest

from pyfly.config_core import BackendUnavailableError, ConfigFormatError
from pyfly.config_server import ConfigServer, ConfigSource, HealthController, HttpRequest


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


def status(path: str, error: Exception | None, method: str = "GET") -> int:
    health = HealthController(ConfigServer(ThreeMethods(error)))
    request = HttpRequest(method=method, raw_path=path.encode())
    return asyncio.run(health.handle(request)).status


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(None, 200, id="fine"),
        pytest.param(ConfigFormatError("broken"), 200, id="one bundle is broken"),
        pytest.param(BackendUnavailableError("gone"), 503, id="unavailable"),
        pytest.param(RuntimeError("password=hunter2"), 503, id="a stranger's error"),
    ],
)
def test_ready_says_whether_the_store_can_be_read(
    error: Exception | None, expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert status("/health/ready", error) == expected
    assert "hunter2" not in caplog.text
    assert status("/health/live", error) == 200


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

    monkeypatch.setattr("pyfly.config_server._http.health._CHECK_SECONDS", 0.01)
    health = HealthController(ConfigServer(Hanging(None)))
    request = HttpRequest(method="GET", raw_path=b"/health/ready")
    assert asyncio.run(health.handle(request)).status == 503
