"""A store that goes away from a running server, and comes back. `scripts/prove outages`."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

PATIENCE = 120.0
TOKEN = {"Authorization": "Bearer sesame"}
TOGETHER = 30
MOST_THREADS = 100
WRITABLE = {"renamed", "emptied", "removed", "cut off", "lost"}
"""Outages of the way to the store: others can write to it."""
CASES = [
    pytest.param("directory", "renamed"),
    pytest.param("directory", "emptied"),
    pytest.param("directory", "removed"),
    *(
        pytest.param("postgres", way, marks=[pytest.mark.external, pytest.mark.slow])
        for way in ("stopped", "killed", "paused", "cut off", "lost")
    ),
    *(
        pytest.param("s3", way, marks=pytest.mark.slow)
        for way in ("killed", "paused", "cut off", "lost")
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One answer."""

    at: float
    seconds: float
    status: int
    number: int | None
    is_stale: bool


def number_in(answer: httpx.Response) -> int | None:
    """Return the value of `n` in a document."""
    if answer.status_code != 200:
        return None
    sources = answer.json()["propertySources"]
    return int(sources[0]["source"]["n"]) if sources else None


class Reader(threading.Thread):
    """Asks for one document again and again."""

    def __init__(self, url: str, path: str) -> None:
        super().__init__()
        self.seen: list[Seen] = []
        self._url, self._path = url, path
        self._ending = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, headers=TOKEN, timeout=PATIENCE) as client:
            while not self._ending.wait(0.02):
                began = time.monotonic()
                answer = client.get(self._path)
                self.seen.append(
                    Seen(
                        at=began,
                        seconds=time.monotonic() - began,
                        status=answer.status_code,
                        number=number_in(answer),
                        is_stale="x-config-stale" in answer.headers,
                    )
                )

    def end(self) -> None:
        self._ending.set()
        self.join(PATIENCE)


class Writer(threading.Thread):
    """Writes one number after the other through the server, whatever it answers."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.acknowledged = 0
        self.statuses: set[int] = set()
        self._url = url
        self._ending = threading.Event()

    def run(self) -> None:
        number = 0
        with httpx.Client(base_url=self._url, headers=TOKEN, timeout=PATIENCE) as client:
            while not self._ending.wait(0.05):
                number += 1
                answer = client.put(
                    "/config/_bundles/written/prod/main",
                    json={"n": number},
                    headers={"If-Match": "*"},
                )
                self.statuses.add(answer.status_code)
                if answer.status_code == 200:
                    self.acknowledged = number

    def end(self) -> None:
        self._ending.set()
        self.join(PATIENCE)


def wait_for(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait for a condition; `what` is said if it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


def percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[max(0, math.ceil(len(values) * part) - 1)]


def held(client: httpx.Client, path: str) -> httpx.Response:
    """Wait for a change of the document."""
    tag = client.get(path).headers["etag"]
    return client.get(path, headers={"If-None-Match": tag, "Prefer": "wait=300"})


def together(client: httpx.Client, path: str, headers: dict[str, str]) -> list[httpx.Response]:
    """Return the answers to requests that are made at the same time."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        return [*pool.map(lambda _: client.get(path, headers=headers), range(TOGETHER))]


def counts(output: str) -> tuple[int, int]:
    """Return how often the log says that a store went away, and that it came back."""
    return output.count("the last good answers are served"), output.count("can be reached again")


class Outage:
    """One outage: what a server answers before it, during it, and afterwards."""

    def __init__(
        self, server: Any, store: Any, way: str, *, threads: tuple[Reader, Writer], number: int
    ) -> None:
        self._server, self._store, self._way = server, store, way
        self._reader, self._writer = threads
        self._number = number
        self._never = f"/config/never{number}/prod"
        self._client = httpx.Client(
            base_url=server.url,
            headers=TOKEN,
            timeout=httpx.Timeout(PATIENCE, pool=PATIENCE),
            limits=httpx.Limits(max_connections=2 * TOGETHER),
        )
        self._pool = ThreadPoolExecutor(2)

    def run(self) -> list[object]:
        """Take the store away and bring it back; return a row of the report."""
        with self._client, self._pool:
            changed = self._pool.submit(held, self._client, "/config/orders/prod")
            unchanged = self._pool.submit(held, self._client, "/config/quiet/prod")
            self._wait(lambda: self._waiting() == 2)
            self._wait_for_write()
            self._store.leave(self._way)
            left = time.monotonic()
            self._wait(lambda: self._reader.seen[-1].is_stale)
            marked = len(self._reader.seen) - 1
            self._check_answers()
            self._wait(lambda: len(self._reader.seen) > marked + 100)
            away = self._reader.seen[marked : marked + 100]
            assert not changed.done()
            if self._way in WRITABLE:
                self._store.put("orders", self._number)
            self._store.come_back(self._way)
            back = time.monotonic()
            self._wait(lambda: not self._reader.seen[-1].is_stale)
            fresh = self._reader.seen[-1].at
            if self._way not in WRITABLE:
                self._store.put("orders", self._number)
            self._check_change(changed)
            heard = time.monotonic()
            self._check_recovered()
            self._wait_for_write()
            assert not unchanged.done()
            self._store.put("quiet", self._number)
            assert number_in(unchanged.result(PATIENCE)) == self._number
        return [
            self._way,
            f"{away[0].at + away[0].seconds - left:.1f} s",
            f"{percentile([seen.seconds for seen in away], 0.99) * 1000:.0f} ms",
            f"{max(0.0, fresh - back):.1f} s",
            f"{heard - back:.1f} s",
        ]

    def _wait(self, condition: Callable[[], bool]) -> None:
        wait_for(condition, self._server.output)

    def _wait_for_write(self) -> None:
        acknowledged = self._writer.acknowledged
        self._wait(lambda: self._writer.acknowledged > acknowledged)

    def _waiting(self) -> int:
        """Return how many requests are held."""
        lines = self._client.get("/metrics").text.splitlines()
        value = next(line for line in lines if line.startswith("pyfly_config_watchers "))
        return int(float(value.split()[1]))

    def _check_answers(self) -> None:
        """Check what is answered while the store is away."""
        get = self._client.get
        for headers in ({"Cache-Control": "no-cache"}, {"If-None-Match": '"another"'}):
            for answer in together(self._client, "/config/orders/prod", headers):
                assert answer.status_code == 200, answer.text
                assert number_in(answer) == self._number - 1
                assert int(answer.headers["x-config-stale"]) >= 0
        for answer in together(self._client, self._never, {}):
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) > 0
        put = self._client.put(
            f"/config/_bundles/new{self._number}/prod/main", json={}, headers={"If-None-Match": "*"}
        )
        assert put.status_code == 503, put.text
        assert int(put.headers["retry-after"]) > 0
        ready = get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "degraded"})
        assert get("/actuator/health").status_code == 503
        assert psutil.Process(self._server.process.pid).num_threads() < MOST_THREADS

    def _check_change(self, changed: Future[httpx.Response]) -> None:
        """Check that a held request ends with the change."""
        answer = changed.result(PATIENCE)
        assert number_in(answer) == self._number
        assert "x-config-stale" not in answer.headers

    def _check_recovered(self) -> None:
        """Check what is answered afterwards."""
        get = self._client.get
        self._wait(lambda: self._reader.seen[-1].number == self._number)
        assert get(self._never).json()["propertySources"] == []
        assert get("/health/ready").json() == {"status": "up"}
        assert get("/actuator/health").status_code == 200


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_a_server_serves_through_an_outage_of_its_store(
    start_server: Callable[..., Any],
    open_store: Callable[[str], Any],
    report: Callable[[Sequence[object]], None],
    times: int,
    kind: str,
    way: str,
) -> None:
    store = open_store(kind)
    for application in ("orders", "quiet", "written"):
        store.put(application, 0)
    server = start_server(store.url, TOKEN="sesame", METRICS="true")
    reader, writer = Reader(server.url, "/config/orders/prod"), Writer(server.url)
    reader.start()
    writer.start()
    try:
        for number in range(1, times + 1):
            row = Outage(server, store, way, threads=(reader, writer), number=number).run()
            report([kind, *row])
    finally:
        reader.end()
        writer.end()
    headers = {**TOKEN, "Cache-Control": "no-cache"}
    final = httpx.get(f"{server.url}/config/written/prod", headers=headers, timeout=PATIENCE)
    assert (number_in(final) or 0) >= writer.acknowledged > 0
    assert writer.statuses == {200, 503}
    assert {seen.status for seen in reader.seen} == {200}
    numbers = [seen.number or 0 for seen in reader.seen]
    assert numbers == sorted(numbers)
    assert counts(server.output()) == (times, times), server.output()


RESTARTS = [
    pytest.param("directory", "renamed"),
    pytest.param("directory", "removed"),
    pytest.param("postgres", "killed", marks=[pytest.mark.external, pytest.mark.slow]),
    pytest.param("postgres", "paused", marks=[pytest.mark.external, pytest.mark.slow]),
    pytest.param("postgres", "lost", marks=[pytest.mark.external, pytest.mark.slow]),
    pytest.param("s3", "cut off", marks=pytest.mark.slow),
    pytest.param("s3", "lost", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "way"), RESTARTS)
def test_a_server_that_starts_in_an_outage_serves_from_its_standby_until_the_store_is_back(
    start_server: Callable[..., Any],
    open_store: Callable[[str], Any],
    tmp_path: Path,
    kind: str,
    way: str,
) -> None:
    store, standby = open_store(kind), tmp_path / "standby"
    store.put("orders", 0)
    server = start_server(store.url, STANDBY=str(standby))
    before = httpx.get(f"{server.url}/config/orders/prod", timeout=PATIENCE)
    assert number_in(before) == 0
    server.stop()
    store.leave(way)

    server = start_server(store.url, STANDBY=str(standby))
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        stale = client.get("/config/orders/prod")
        assert (stale.status_code, stale.content) == (200, before.content)
        assert int(stale.headers["x-config-stale"]) >= 0
        assert client.get("/config/never/prod").status_code == 503
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "degraded"})
        assert client.get("/actuator/health").status_code == 503
        store.come_back(way)
        store.put("orders", 1)

        def is_fresh() -> bool:
            answer = client.get("/config/orders/prod")
            assert answer.status_code == 200
            return "x-config-stale" not in answer.headers and number_in(answer) == 1

        wait_for(is_fresh, server.output)
        assert client.get("/health/ready").json() == {"status": "up"}
