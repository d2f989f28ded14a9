"""Server processes on one PostgreSQL, while it works and while it does not."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest

BUNDLE = "/config/_bundles/orders/prod/main"
TOKEN = {"Authorization": "Bearer sesame"}
FRESH = {"Cache-Control": "no-cache"}
WRITERS, INCREMENTS = 8, 40
SECONDS = 60
ANSWER_SECONDS = 30.0
"""A bound that a loaded machine keeps; the limits of the store are some seconds."""


@pytest.fixture
def servers(
    postgres: Any, run_command: Callable[..., Any], start_server: Callable[..., Any]
) -> Iterator[list[httpx.Client]]:
    """Two processes on one database, with a client for each."""
    url = postgres.database(f"processes{len(postgres._made)}")
    assert "upgraded to schema 0002" in run_command("db", "upgrade", url).stdout
    running = [start_server(url, TOKEN="sesame") for _ in range(2)]
    clients = [
        httpx.Client(base_url=one.url, headers=TOKEN, timeout=2 * ANSWER_SECONDS) for one in running
    ]
    yield clients
    for client in clients:
        client.close()
    assert [one.stop() for one in running] == [0, 0]


def put(client: httpx.Client, value: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return client.put(BUNDLE, json=value, headers=named)


def number_of(client: httpx.Client) -> int:
    return int(client.get(BUNDLE).raise_for_status().json()["properties"]["number"])


def test_what_is_written_through_one_is_read_through_the_other(
    servers: list[httpx.Client],
) -> None:
    one, other = servers
    version = put(one, {"number": 0}, If_None_Match="*").headers["etag"]
    for number in range(1, 50):
        written = put(one, {"number": number}, If_Match=version).raise_for_status()
        version = written.headers["etag"]
        document = other.get("/config/orders/prod", headers=FRESH).raise_for_status().json()
        assert document["propertySources"][0]["source"] == {"number": number}
        assert f'"{document["version"]}"' == version
        one, other = other, one


def test_no_acknowledged_increment_is_lost(servers: list[httpx.Client], times: int) -> None:
    increments = INCREMENTS * times
    assert put(servers[0], {"number": 0}, If_None_Match="*").status_code == 201
    statuses: Counter[int] = Counter()
    guard = threading.Lock()

    def count(writer: int) -> None:
        client, acknowledged = servers[writer % 2], 0
        number, version = 0, '"0"'
        while acknowledged < increments:
            written = put(client, {"number": number + 1}, If_Match=version)
            if written.status_code == 200:
                acknowledged += 1
                number, version = number + 1, written.headers["etag"]
            else:  # somebody was faster
                time.sleep(random.uniform(0, 0.1))  # as a polite client does
                read = client.get(BUNDLE)
                number, version = read.json()["properties"]["number"], read.headers["etag"]
            with guard:
                statuses[written.status_code] += 1

    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(count, range(WRITERS)):
            pass  # whatever was raised is raised here
    assert [number_of(client) for client in servers] == [WRITERS * increments] * 2
    assert statuses.keys() == {200, 412}
    assert statuses[200] == WRITERS * increments


STALE = -1
"""The status of an answer that is marked as stale."""


@dataclass
class Traffic:
    """Requests without an end, and what became of them."""

    client: httpx.Client
    reads: list[tuple[int, float]] = field(default_factory=list)
    acknowledged: int = 0
    unknown: int = 0
    wrong: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set():
            self._read()
            self._write()

    def seen(self, status: int, *, since: int) -> bool:
        return any(found == status for found, _ in self.reads[since:])

    def _read(self) -> None:
        began = time.monotonic()
        answer = self.client.get("/config/orders/prod")
        status = STALE if "x-config-stale" in answer.headers else answer.status_code
        self.reads.append((status, time.monotonic() - began))
        if answer.status_code == 503 and not answer.headers.get("retry-after", "").isdigit():
            self.wrong.append("a 503 does not say when to try again")
        if answer.status_code == 200 and len(answer.json()["propertySources"]) != 1:
            self.wrong.append("a document is empty")

    def _write(self) -> None:
        read = self.client.get(BUNDLE)
        if read.status_code != 200:
            return
        number = read.json()["properties"]["number"] + 1
        written = put(self.client, {"number": number}, If_Match=read.headers["etag"])
        self.acknowledged += written.status_code == 200
        self.unknown += written.status_code == 503
        if written.status_code not in {200, 412, 503}:
            self.wrong.append(f"a write was answered {written.status_code}")


@pytest.fixture
def traffic(servers: list[httpx.Client]) -> Iterator[list[Traffic]]:
    """Requests to both processes while the test runs, and the promises they all keep."""
    assert put(servers[0], {"number": 0}, If_None_Match="*").status_code == 201
    made = [Traffic(client) for client in servers]
    threads = [threading.Thread(target=one.run, daemon=True) for one in made]
    for thread in threads:
        thread.start()
    yield made
    for one in made:
        one.stop.set()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert [one.wrong for one in made] == [[], []]
    assert {status for one in made for status, _ in one.reads} == {200, STALE}
    assert max(seconds for one in made for _, seconds in one.reads) < ANSWER_SECONDS
    least = sum(one.acknowledged for one in made)
    assert least <= number_of(servers[0]) <= least + sum(one.unknown for one in made)


def wait_for(traffic: list[Traffic], status: int) -> float:
    """Wait until both processes give this answer; return how long it took."""
    began = time.monotonic()
    since = [len(one.reads) for one in traffic]
    while not all(one.seen(status, since=n) for one, n in zip(traffic, since, strict=True)):
        assert time.monotonic() - began < SECONDS, "this answer never came"
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_stopped_database_leaves_the_last_answer_and_a_started_one_is_used_again(
    postgres: Any, traffic: list[Traffic], servers: list[httpx.Client]
) -> None:
    for _ in range(3):
        wait_for(traffic, 200)
        postgres.stop()
        wait_for(traffic, STALE)
        ready = servers[0].get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "degraded"})
        assert servers[0].get("/health/live").status_code == 200
        postgres.start()
        assert wait_for(traffic, 200) < 3 * 5.0  # five seconds are promised


def test_a_database_that_is_paused_leaves_the_last_answer_and_no_hang(
    postgres: Any, traffic: list[Traffic]
) -> None:
    wait_for(traffic, 200)
    main = psutil.Process(postgres.server.get_pid())
    paused = [main, *main.children()]
    for process in paused:
        process.suspend()
    try:
        wait_for(traffic, STALE)
    finally:
        for process in paused:
            process.resume()
    assert wait_for(traffic, 200) < 3 * 5.0
