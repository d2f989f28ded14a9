"""The log of `pyfly-config serve`: access lines, ids of requests, formats."""

import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.traced

PATIENCE = 60.0
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "main" / "orders-default.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("who: orders\n", encoding="utf-8")
    return tmp_path / "store"


def lines_of(server: Any, part: str, count: int) -> list[str]:
    """Return the lines with a text, once there are so many."""
    deadline = time.monotonic() + PATIENCE
    while len(found := [one for one in server.output().splitlines() if part in one]) < count:
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.02)
    return found


def test_every_request_has_a_line(start_server: Callable[..., Any], store: Path) -> None:
    server = start_server(store, ACCESS_LOG="true", LOG_FORMAT="json", TOKEN="s3cr3t-token")
    with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer s3cr3t-token"}) as own:
        document = own.get("/config/orders/default")
        for _ in range(3):  # answered directly without an access log
            assert own.get("/config/orders/default").status_code == 200
        missing = own.get(
            "/config/orders/default/nowhere?token=s3cr3t", headers={"X-Request-Id": "r-1"}
        )
        refused = own.get(
            "/config/orders/default",
            headers={"Authorization": "Bearer other", "X-Request-Id": "not well formed"},
        )
        outside = own.get("/nowhere")
    assert "x-request-id" not in document.headers
    assert missing.headers["x-request-id"] == "r-1"
    assert len(refused.headers["x-request-id"]) == 16
    assert outside.status_code == 404
    lines_of(server, '"path": "/nowhere"', 1)
    found = [json.loads(line) for line in lines_of(server, '"seconds"', 7)]
    found = [one for one in found if not one["path"].startswith("/health")]
    assert [one["status"] for one in found] == [200, 200, 200, 200, 404, 401, 404]
    first = found[0]
    assert {*first} == {
        *("time", "level", "logger", "message", "request_id", "client", "method", "path"),
        *("status", "bytes", "seconds", "principal"),
    }
    assert first["bytes"] == len(document.content)
    assert first["client"] == "127.0.0.1"
    assert [one["principal"] for one in found[:6]] == ["shared-token"] * 5 + [None]
    assert found[4]["request_id"] == "r-1"
    assert found[4]["path"] == "/config/orders/default/nowhere"
    assert found[5]["request_id"] == refused.headers["x-request-id"]
    assert len({one["request_id"] for one in found}) == 7
    assert "s3cr3t" not in server.output()


def test_pipelined_requests_have_their_own_ids(
    start_server: Callable[..., Any], store: Path
) -> None:
    server = start_server(store, ACCESS_LOG="true", LOG_FORMAT="json", TOKEN="s3cr3t-token")
    head = b"GET /config/%s/default HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(head % (b"piped", b"X-Request-Id: r-1\r\n") + head % (b"piped", b"") * 3)
        found = [json.loads(line) for line in lines_of(server, '"path": "/config/piped', 4)]
    ids = [one["request_id"] for one in found]
    assert ids[0] == "r-1"
    assert len({*ids}) == 4


@pytest.mark.parametrize("path", ["/config/orders/default", "/nowhere", "/health/ready"])
def test_a_line_has_the_client_that_a_trusted_proxy_names(
    start_server: Callable[..., Any], store: Path, path: str
) -> None:
    server = start_server(
        store,
        ACCESS_LOG="true",
        LOG_FORMAT="json",
        TOKEN="s3cr3t-token",
        TRUSTED_PROXIES="127.0.0.1",
    )
    httpx.get(f"{server.url}{path}", headers={"X-Forwarded-For": "192.0.2.7"})
    [line] = lines_of(server, '"client": "192.0.2.7"', 1)
    assert json.loads(line)["path"] == path


def test_text_lines_have_a_time_and_no_access_line_unless_asked(
    start_server: Callable[..., Any], store: Path
) -> None:
    server = start_server(store)
    broken = store / "main" / "broken-default.yaml"
    broken.write_text("a: [\n", encoding="utf-8")
    deadline = time.monotonic() + PATIENCE
    while (answer := httpx.get(f"{server.url}/config/broken/default")).status_code != 500:
        assert time.monotonic() < deadline
    line = lines_of(server, "broken-default.yaml", 1)[0]
    assert TIME.match(line)
    assert " pyfly.config_server" in line
    assert f"[{answer.headers['x-request-id']}]" in lines_of(server, "500:", 1)[-1]
    assert "/health/live" not in server.output()
