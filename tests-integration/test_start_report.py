"""What `serve` reports at its start, beside its first answers."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

BACKEND = '''
import asyncio

from pyfly.config_core import BackendAccessDeniedError
from pyfly.config_server import ConfigSource


class OneBundle:
    """Holds one bundle; a listing never ends, or fails."""

    def __init__(self, failure):
        self.failure = failure

    @classmethod
    def from_url(cls, url):
        return cls(url.partition(":")[2])

    async def fetch(self, application, profile, label="main"):
        if (application, profile) == ("orders", "prod"):
            return ConfigSource(application=application, profile=profile, properties={"a": 1})
        return None

    async def save(self, source):
        raise OSError("read only")

    async def list(self):
        if self.failure == "denied":
            raise BackendAccessDeniedError("the names cannot be listed")
        if self.failure == "unknown":
            raise ValueError("a secret")
        await asyncio.Event().wait()
'''


@pytest.fixture
def start_listing(
    tmp_path: Path, start_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Start a server on a store whose listing never ends, or fails."""
    metadata = tmp_path / "site" / "onebundle-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata.parent / "onebundle.py").write_text(BACKEND, encoding="utf-8")
    (metadata / "METADATA").write_text("Name: onebundle\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(
        "[pyfly.config_server.backends]\nonebundle = onebundle:OneBundle\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(metadata.parent))

    def start(failure: str, *arguments: str, reports: bool = True) -> Any:
        return start_server(f"onebundle:{failure}", *arguments, reports=reports)

    return start


def properties(server: Any) -> Any:
    document = httpx.get(f"{server.url}/config/orders/prod").raise_for_status().json()
    return document["propertySources"][0]["source"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_requests_are_answered_while_the_stores_are_listed(
    start_listing: Callable[..., Any], workers: str
) -> None:
    server = start_listing("never", "--workers", workers, reports=False)
    assert properties(server) == {"a": 1}
    deadline = time.monotonic() + 60
    line = f"Serving onebundle:never at {server.url}/config\n"
    while server.output() != line:  # the first worker answers before the supervisor hears of it
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.01)
    assert server.stop() == 0
    assert server.output() == line


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("failure", "reason"),
    [("denied", "the names cannot be listed"), ("unknown", "ValueError")],
)
def test_a_store_that_cannot_be_listed_is_served(
    start_listing: Callable[..., Any], workers: str, failure: str, reason: str
) -> None:
    server = start_listing(failure, "--workers", workers)
    assert server.output().splitlines() == [
        f"Serving onebundle:{failure} at {server.url}/config",
        f"  bundles       not counted: {reason}",
        "  credential    none",
    ]
    assert properties(server) == {"a": 1}


def test_broken_bundles_are_counted_and_named_by_the_log_when_they_are_requested(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "main").mkdir()
    for name in ("a-prod", "b-prod", "c-prod", "d-prod", "e-prod"):
        (tmp_path / "main" / f"{name}.yaml").write_text("a: [\n", encoding="utf-8")
    server = start_server(tmp_path)
    report = server.output()
    assert "bundles       5\n" in report
    assert "unreadable    a/prod/main: main/a-prod.yaml, line" in report
    assert "d-prod" not in report  # no more than three are tried
    assert "Try:" not in report
    answer = httpx.get(f"{server.url}/config/e/prod")
    assert answer.status_code == 500
    assert "main/e-prod.yaml, line" in json.dumps(answer.json())
    server.wait_for("500: main/e-prod.yaml, line")
