"""A freeze that a command makes holds in every worker and replica, without a restart."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

COMMAND = str(Path(sys.executable).with_name("pyfly-config"))
PATIENCE = 120.0
TOKEN = {"authorization": "Bearer the-shared-one"}
CONNECTIONS = 24
"""So many that every worker gets some."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "main" / "orders-prod.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("value: 1\n", encoding="utf-8")
    return tmp_path / "store"


def command(*words: object) -> str:
    done = subprocess.run(
        [COMMAND, *map(str, words)], capture_output=True, check=True, encoding="utf-8"
    )
    return done.stdout


def write(url: str, name: str) -> httpx.Response:
    """Write over a connection of its own."""
    with httpx.Client(base_url=url, headers=TOKEN, timeout=PATIENCE) as client:
        return client.put(
            f"/config/_bundles/{name}/prod/main", json={"value": 2}, headers={"if-none-match": "*"}
        )


@pytest.mark.slow
def test_no_worker_of_any_replica_writes_after_a_freeze_was_made(
    start_server: Callable[..., Any], store: Path
) -> None:
    urls = [start_server(store, "--workers", "2", TOKEN="the-shared-one").url for _ in range(2)]
    begun_and_status: list[tuple[float, int]] = []
    stop = threading.Event()

    def keep_writing(number: int) -> None:
        turn = 0
        while not stop.is_set():
            begun = time.monotonic()
            response = write(urls[turn % 2], f"app{number}x{turn}")
            begun_and_status.append((begun, response.status_code))
            turn += 1

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(keep_writing, number) for number in range(2)]
        try:
            told = command("freeze", store, "--reason", "release 1.4", "--until", "2h")
            frozen_at = time.monotonic()
            answers = [write(urls[number % 2], f"late{number}") for number in range(CONNECTIONS)]
        finally:
            stop.set()
        for one in writers:
            one.result(PATIENCE)
    freeze_id = told.partition(":")[0]
    for answer in answers:
        problem = answer.json()
        assert (answer.status_code, problem["freeze"]) == (403, freeze_id)
        assert problem["reason"] == "release 1.4"
    late = {status for begun, status in begun_and_status if begun > frozen_at}
    early = [status for begun, status in begun_and_status if begun <= frozen_at]
    assert (late or {403}, early[0]) == ({403}, 201)
    for url in urls:
        assert httpx.get(f"{url}/config/orders/prod", headers=TOKEN).status_code == 200
    command("unfreeze", store, freeze_id)
    again = [write(urls[number % 2], f"late{number}") for number in range(CONNECTIONS)]
    assert {answer.status_code for answer in again} == {201}
