"""Many writers and many bundles, over real connections to real processes."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

TOKEN = {"Authorization": "Bearer sesame"}
BUNDLE = "/config/_bundles/orders/prod/main"
WRITERS, INCREMENTS = 8, 40
RACERS, ROUNDS = 50, 5
BUNDLES = 10_000


@pytest.fixture
def servers(start_server: Callable[..., Any], tmp_path: Path) -> list[str]:
    """Two processes on one directory."""
    return [start_server(tmp_path, TOKEN="sesame").url for _ in range(2)]


@pytest.fixture
def clients(servers: list[str]) -> Iterator[list[httpx.Client]]:
    """One for each writer, on both processes in turn."""
    made = [
        httpx.Client(base_url=servers[number % 2], headers=TOKEN, timeout=60)
        for number in range(RACERS)
    ]
    yield made
    for client in made:
        client.close()


def put(client: httpx.Client, value: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return client.put(BUNDLE, json=value, headers=named)


def test_no_acknowledged_increment_is_lost(clients: list[httpx.Client], times: int) -> None:
    increments = INCREMENTS * times
    assert put(clients[0], {"number": 0}, If_None_Match="*").status_code == 201
    statuses: Counter[int] = Counter()
    guard = threading.Lock()

    def count(client: httpx.Client) -> None:
        acknowledged = 0
        while acknowledged < increments:
            read = client.get(BUNDLE)
            number = read.json()["properties"]["number"] + 1
            written = put(client, {"number": number}, If_Match=read.headers["etag"])
            acknowledged += written.status_code == 200
            with guard:
                statuses[written.status_code] += 1

    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(count, clients[:WRITERS]):
            pass  # whatever was raised is raised here
    assert clients[0].get(BUNDLE).json()["properties"] == {"number": WRITERS * increments}
    assert statuses.keys() == {200, 412}
    assert statuses[200] == WRITERS * increments


def test_of_fifty_writers_one_wins_and_the_others_learn_the_current_version(
    clients: list[httpx.Client], times: int
) -> None:
    assert put(clients[0], {"writer": None}).status_code == 428
    version = put(clients[0], {"writer": None}, If_None_Match="*").headers["etag"]
    with ThreadPoolExecutor(RACERS) as pool:
        for turn in range(
            ROUNDS * times
        ):  # part of the content: the same bytes have the same version
            start = threading.Barrier(RACERS)

            def write(value: Any, start: Any = start, version: str = version) -> Any:
                start.wait()
                return put(clients[value["writer"]], value, If_Match=version)

            values = [{"writer": number, "round": turn} for number in range(RACERS)]
            answers = [*pool.map(write, values)]
            (won,) = [answer for answer in answers if answer.status_code == 200]
            lost = [answer for answer in answers if answer is not won]
            version = won.headers["etag"]
            assert {answer.status_code for answer in lost} == {412}
            assert {answer.json()["current"] for answer in lost} == {json.loads(version)}
            stored = clients[0].get(BUNDLE)
            assert stored.headers["etag"] == version
            assert stored.json()["properties"] == values[answers.index(won)]
    assert put(clients[0], {"writer": None}).status_code == 428
    assert clients[0].delete(BUNDLE).status_code == 428


def memory(pid: int, name: str) -> int:
    """Return a row of a process's memory and that of its children, in bytes."""
    rows = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    kilobytes = next(int(row.split()[1]) for row in rows if row.startswith(f"{name}:"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return 1024 * kilobytes + sum(memory(int(child), name) for child in children)


def listed(client: httpx.Client, **filters: Any) -> Iterator[dict[str, Any]]:
    """Follow the pages to the end; none holds more than it may."""
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/config/_bundles", params=filters | cursor).raise_for_status().json()
        assert len(page["bundles"]) <= filters.get("limit", 100)
        yield from page["bundles"]
        if page["next"] is None:
            return
        cursor = {"cursor": page["next"]}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_ten_thousand_bundles_are_listed_in_bounded_memory_with_a_broken_one_among_them(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    large = json.dumps({f"key{number}": f"{'value' * 10}{number}" for number in range(1000)})
    (tmp_path / "main").mkdir()
    for number in range(BUNDLES):
        path = tmp_path / "main" / f"app{number:05}-prod"
        if number % 10:
            path.with_suffix(".yaml").write_text(f"number: {number}\n", encoding="utf-8")
        else:
            path.with_suffix(".json").write_text(large, encoding="utf-8")
    (tmp_path / "main" / "app05000-prod.json").write_text("a: [", encoding="utf-8")
    time.sleep(2)  # from now on the files may be remembered
    server = start_server(tmp_path)
    assert "bundles       10000" in server.output()
    with httpx.Client(base_url=server.url, timeout=60) as client:
        rows = [*listed(client, limit=1000)]
        assert [row["application"] for row in rows] == [f"app{n:05}" for n in range(BUNDLES)]
        assert [row["application"] for row in rows if "error" in row] == ["app05000"]
        assert "main/app05000-prod.json, line" in rows[5000]["error"]
        assert len([*listed(client, application="app07777")]) == 1
        for name, status in (("app04999", 200), ("app05000", 500), ("app05001", 200)):
            assert client.get(f"/config/{name}/prod").status_code == status
    (tmp_path / "small" / "main").mkdir(parents=True)
    (tmp_path / "small" / "main" / "orders-prod.json").write_text(large, encoding="utf-8")
    small = start_server(tmp_path / "small")
    with httpx.Client(base_url=small.url, timeout=60) as client:
        assert len([*listed(client)]) == 1
    more = memory(server.process.pid, "VmHWM") - memory(small.process.pid, "VmHWM")
    held = sum(path.stat().st_size for path in (tmp_path / "main").iterdir())
    assert more < 2 * held  # two processes; a parsed text takes several times its size
