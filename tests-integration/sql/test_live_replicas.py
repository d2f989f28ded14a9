"""Readers and watchers that alternate between two servers of two workers each, on one store."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

BUNDLE = "/config/_bundles/orders/prod/main"
DOCUMENT = "/config/orders/prod"
TOKEN = {"Authorization": "Bearer sesame", "Connection": "close"}
WRITES = 20
DEADLINE = 60.0


@pytest.fixture(params=["files", "sqlite", "postgres"])
def urls(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    run_command: Callable[..., Any],
    start_server: Callable[..., Any],
) -> Iterator[list[str]]:
    """The addresses of two servers. Each request takes a connection of its own, to any worker."""
    store = str(tmp_path)
    if request.param == "files":
        (tmp_path / "main").mkdir()
    elif request.param == "sqlite":
        store = f"sqlite:///{tmp_path}/config.db"
    else:
        store = request.getfixturevalue("postgres").database("replicas")
    if request.param != "files":
        assert "upgraded" in run_command("db", "upgrade", store).stdout
    running = [start_server(store, TOKEN="sesame", WORKERS="2") for _ in range(2)]
    yield [one.url for one in running]
    assert [one.stop() for one in running] == [0, 0]


class Fleet:
    """Clients of both servers, which take turns."""

    def __init__(self, urls: list[str], writes: int) -> None:
        self.urls = urls
        self.writes = writes
        self.written = 0
        self.ends = time.monotonic() + DEADLINE + writes
        self.lock = threading.Lock()

    def write(self) -> None:
        """Count to the end, through both servers."""
        version = ""
        for number, url in zip(range(1, self.writes + 1), itertools.cycle(self.urls)):
            condition = {"If-Match": version} if version else {"If-None-Match": "*"}
            body = {"first": number, "last": number}
            reply = httpx.put(url + BUNDLE, json=body, headers=TOKEN | condition, timeout=DEADLINE)
            version = reply.raise_for_status().headers["etag"]
            self.written = number

    def follow(self, *, first: int, **headers: str) -> int:
        """Ask for the document again and again, each time another server; return the answers.

        No answer is older than the one before, none is a mixture, and the last write is seen.
        """
        seen, tag, answers = 0, "", 0
        for url in itertools.cycle([*self.urls[first:], *self.urls[:first]]):
            if seen == self.writes:
                return answers
            assert time.monotonic() < self.ends, f"{seen} of {self.written} seen"
            known = {"If-None-Match": tag, **headers} if tag else {}
            reply = httpx.get(url + DOCUMENT, headers=TOKEN | known, timeout=DEADLINE)
            assert reply.status_code in {200, 304}
            assert "x-config-stale" not in reply.headers
            if reply.status_code == 304:
                continue
            sources = [one["source"] for one in reply.json()["propertySources"]]
            number = sources[0]["first"] if sources else 0
            assert not sources or sources[0] == {"first": number, "last": number}
            assert number >= seen
            assert not tag or reply.headers["etag"] != tag
            assert number > seen or not tag, "an answer to a held request is another one"
            seen, tag, answers = number, reply.headers["etag"], answers + 1
        raise AssertionError


@pytest.mark.slow
def test_no_client_is_led_back_and_every_watcher_sees_the_last_write(
    urls: list[str], times: int
) -> None:
    fleet = Fleet(urls, WRITES * times)
    with ThreadPoolExecutor(8) as pool:
        following = [
            *(pool.submit(fleet.follow, first=n) for n in range(2)),
            *(pool.submit(fleet.follow, first=n, Prefer="wait=30") for n in range(2)),
        ]
        pool.submit(fleet.write).result()
        answers = [one.result() for one in following]
    assert all(1 <= number <= fleet.writes + 1 for number in answers)
    for number, (one, other) in enumerate([(*urls,), (*reversed(urls),)] * 5):
        write: dict[str, Any] = {"json": {"number": number}, "headers": TOKEN | {"If-Match": "*"}}
        httpx.put(one + BUNDLE, timeout=DEADLINE, **write).raise_for_status()
        fresh = TOKEN | {"Cache-Control": "no-cache"}
        document = httpx.get(other + DOCUMENT, headers=fresh, timeout=DEADLINE).json()
        assert document["propertySources"][0]["source"] == {"number": number}
