"""A server on a SQLite file that is killed while it commits, again and again."""

import contextlib
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

BUNDLE = "/config/_bundles/orders/prod/main"
TOKEN = {"Authorization": "Bearer sesame"}
KILLS, COMMITS = 3, 25
WIDTH = 50
SECONDS = 60


def kill(server: Any) -> None:
    """End the process and its workers where they stand."""
    parent = psutil.Process(server.process.pid)
    processes = [parent, *parent.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes[1:], timeout=SECONDS)
    server.process.wait(SECONDS)


def tree(number: int) -> dict[str, int]:
    return {f"key{one}": number for one in range(WIDTH)}


class Writer(threading.Thread):
    """Commits one number after the other until the server is gone."""

    def __init__(self, url: str, number: int, version: str | None) -> None:
        super().__init__()
        self.acknowledged: dict[str, int] = {}
        self.enough = threading.Event()
        self._client = httpx.Client(base_url=url, headers=TOKEN, timeout=SECONDS)
        self._number, self._version = number, version

    def run(self) -> None:
        with self._client, contextlib.suppress(httpx.TransportError):
            while True:
                self._number += 1
                expected = {"If-Match": f'"{self._version}"'}
                headers = {"If-None-Match": "*"} if self._version is None else expected
                answer = self._client.put(BUNDLE, json=tree(self._number), headers=headers)
                assert answer.status_code in {200, 201}, answer.text
                version = str(answer.json()["version"])
                self.acknowledged[version] = self._number
                self._version = version
                if len(self.acknowledged) >= COMMITS:
                    self.enough.set()


def check(url: str, acknowledged: dict[str, int]) -> tuple[int, str]:
    """Compare what is stored with what was acknowledged; return the current number and version."""
    with httpx.Client(base_url=url, headers=TOKEN, timeout=SECONDS) as client:
        current = client.get(BUNDLE).raise_for_status().json()
        number, version = current["properties"]["key0"], current["version"]
        assert current["properties"] == tree(number)
        assert int(version) >= max(map(int, acknowledged))
        listed = client.get(f"{BUNDLE}/history?limit=1000").raise_for_status().json()["versions"]
        assert acknowledged.keys() <= {row["version"] for row in listed}
        for row in listed[:COMMITS]:  # newest first
            old = client.get(f"{BUNDLE}/history/{row['version']}").raise_for_status().json()
            found = old["properties"]["key0"]
            assert old["properties"] == tree(found)
            assert acknowledged.get(row["version"], found) == found
    return number, version


def test_every_acknowledged_commit_is_there_whole(
    start_server: Callable[..., Any], tmp_path: Path, times: int
) -> None:
    store = f"sqlite:///{tmp_path}/config.db"
    acknowledged: dict[str, int] = {}
    number, version = 0, None
    server = start_server(store, TOKEN="sesame")
    for _ in range(KILLS * times):
        writer = Writer(server.url, number, version)
        writer.start()
        assert writer.enough.wait(SECONDS)
        threading.Event().wait(random.uniform(0, 0.02))  # anywhere in a commit
        kill(server)
        writer.join(SECONDS)
        acknowledged |= writer.acknowledged
        server = start_server(store, TOKEN="sesame")
        number, version = check(server.url, acknowledged)
    assert server.stop() == 0
    assert len(acknowledged) >= KILLS * times * COMMITS
