"""A server whose SQLite file is removed, put back and replaced while it runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

BUNDLE = "/config/_bundles/orders/prod/main"
TOKEN = {"Authorization": "Bearer sesame"}
SUFFIXES = ("-wal", "-shm", "")


def move(one: Path, other: Path) -> None:
    for suffix in SUFFIXES:
        if (file := Path(f"{one}{suffix}")).exists():
            file.rename(f"{other}{suffix}")


def test_a_removed_file_is_told_and_used_again_when_it_is_back(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "config.db"
    server = start_server(f"sqlite:///{path}", TOKEN="sesame")
    with httpx.Client(base_url=server.url, headers=TOKEN, timeout=60) as client:

        def put(number: int, condition: dict[str, str]) -> int:
            return client.put(BUNDLE, json={"n": number}, headers=condition).status_code

        assert put(1, {"If-None-Match": "*"}) == 201
        assert client.get("/health/ready").status_code == 200
        move(path, tmp_path / "away.db")
        assert put(2, {"If-Match": "*"}) == 503
        answer = client.get("/config/orders/prod")
        assert answer.status_code == 503
        assert "the SQLite file was removed" in answer.text
        assert client.get("/health/ready").status_code == 503
        assert not path.exists()
        move(tmp_path / "away.db", path)
        assert client.get("/health/ready").status_code == 200
        assert put(3, {"If-Match": "*"}) == 200
    assert server.stop() == 0
    again = start_server(f"sqlite:///{path}", TOKEN="sesame")
    found = httpx.get(f"{again.url}{BUNDLE}", headers=TOKEN, timeout=60).json()
    assert found["properties"] == {"n": 3}
    assert again.stop() == 0
