"""The headers that protect every response of `pyfly-config serve`, errors included."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

PROTECTING = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
REQUESTS = (
    ("GET", "/config/orders/prod", 200),
    ("GET", "/config/orders-prod.yml", 200),
    ("OPTIONS", "/config/orders/prod", 200),
    ("DELETE", "/config/orders/prod", 405),
    ("GET", "/config/orders/prod/nowhere", 404),
    ("GET", "/config/_bundles", 200),
    ("GET", "/config/_bundles/a b/prod/main", 400),
    ("PUT", "/config/_bundles/orders/prod/main", 428),
    ("GET", "/config/_openapi.json", 200),
    ("GET", "/config", 404),
    ("GET", "/health/live", 200),
    ("GET", "/health/ready", 200),
    ("GET", "/actuator/health", 200),
    ("GET", "/metrics", 200),
    ("POST", "/monitor", 415),
    ("GET", "/nowhere", 404),
)


def test_every_response_has_them(start_server: Callable[..., Any], checkout: Path) -> None:
    server = start_server(checkout / "docs/examples/config", TOKEN="sesame", METRICS="true")
    bearer = {"Authorization": "Bearer sesame"}
    lacking: list[object] = []
    with httpx.Client(base_url=server.url, headers=bearer, timeout=60) as client:
        tag = client.get("/config/orders/prod").headers["etag"]
        answers = [(client.request(method, path), status) for method, path, status in REQUESTS]
        answers.append((client.get("/config/orders/prod", headers={"If-None-Match": tag}), 304))
        answers.append((client.get("/config/orders/prod", headers={"Authorization": "x"}), 401))
        for answer, status in answers:
            given = {name: answer.headers.get(name) for name in PROTECTING}
            assert "server" not in answer.headers
            if answer.status_code != status or given != PROTECTING:
                lacking.append((answer.request.url.path, answer.status_code, given))
    assert lacking == []
    refused = server.exchange(b"no HTTP\r\n\r\n").lower()
    assert b"\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n" in refused
