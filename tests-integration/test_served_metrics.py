"""The metrics of real server processes: one worker, several, killed ones, reloads."""

import itertools
import os
import re
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.slow

PATIENCE = 60.0
each_number_of_workers = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "main" / "orders-prod.yaml"
    path.parent.mkdir()
    path.write_text("a: 1\n", encoding="utf-8")
    return tmp_path


def fetch(url: str, **headers: str) -> bytes:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def values(page: bytes) -> dict[str, float]:
    """Return the values of a page by name and labels."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def wait_for(url: str, condition: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Return the metrics as soon as they meet a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition(found := values(fetch(url))):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def requests(found: dict[str, float]) -> float:
    return found.get("pyfly_config_http_requests_total route=environment status=200", 0)


@pytest.mark.traced
@each_number_of_workers
def test_requests_of_all_workers_are_counted(
    start_server: Callable[..., Any], store: Path, workers: int
) -> None:
    server = start_server(store, "--workers", str(workers), METRICS="true")
    server.wait_for(f"metrics       {server.url}/metrics")
    for _ in range(20):
        fetch(f"{server.url}/config/orders/prod")
    wait_for(f"{server.url}/metrics", lambda found: found["pyfly_config_workers"] == workers)
    found = wait_for(f"{server.url}/metrics", lambda found: requests(found) == 20)
    assert found["pyfly_config_worker_restarts_total"] == 0
    durations = "pyfly_config_http_request_duration_seconds"
    assert found[f"{durations}_count route=environment"] == 20
    assert found[f"{durations}_sum route=environment"] > 0
    assert server.stop() == 0


@each_number_of_workers
def test_answers_looks_and_watchers_of_all_workers_are_counted(
    start_server: Callable[..., Any], store: Path, workers: int
) -> None:
    server = start_server(store, "--workers", str(workers), METRICS="true")
    document, url = f"{server.url}/config/orders/prod", f"{server.url}/metrics"
    with urllib.request.urlopen(document, timeout=30) as answer:
        tag = answer.headers["ETag"]
    for _ in range(20):
        fetch(document)
    found = wait_for(url, lambda found: requests(found) == 21)
    hits, misses = (found[f"pyfly_config_answers_total outcome={one}"] for one in ("hit", "miss"))
    assert hits + misses == 21
    assert 1 <= misses <= workers
    assert found["pyfly_config_answers_rendered_total"] == misses
    last_look = "pyfly_config_store_last_look_timestamp_seconds store=1"
    now = time.time()
    found = wait_for(url, lambda found: found.get(last_look, 0) > now)
    assert found[last_look] <= time.time()
    assert found["pyfly_config_store_looks_total store=1"] >= workers
    assert found["pyfly_config_store_look_errors_total store=1"] == 0
    held = threading.Thread(
        target=fetch, args=[document], kwargs={"If-None-Match": tag, "Prefer": "wait=60"}
    )
    held.start()
    wait_for(url, lambda found: found["pyfly_config_watchers"] == 1)
    (store / "main" / "orders-prod.yaml").write_text("a: 2\n", encoding="utf-8")
    held.join()
    found = wait_for(url, lambda found: found["pyfly_config_watchers"] == 0)
    found = wait_for(url, lambda found: found["pyfly_config_watcher_wake_seconds_count"] == 1)
    assert found["pyfly_config_http_requests_total route=environment status=200"] == 22
    assert found["pyfly_config_http_request_duration_seconds_count route=environment"] == 21


def test_a_text_that_does_not_parse_is_counted_until_it_is_repaired(
    start_server: Callable[..., Any], store: Path
) -> None:
    server = start_server(store, METRICS="true")
    document, url = f"{server.url}/config/orders/prod", f"{server.url}/metrics"
    file = store / "main" / "orders-prod.yaml"
    stale = "pyfly_config_answers_total outcome=stale"

    def is_broken(found: dict[str, float]) -> bool:
        fetch(document)
        return found["pyfly_config_answers_broken"] == 1 and found[stale] > 0

    fetch(document)
    file.write_text("a: [\n", encoding="utf-8")
    wait_for(url, is_broken)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("settings reloaded")
    file.write_text("a: 3\n", encoding="utf-8")
    wait_for(url, lambda found: bool(fetch(document)) and not found["pyfly_config_answers_broken"])


@each_number_of_workers
def test_a_second_address_answers_metrics_to_everybody_and_nothing_else(
    start_server: Callable[..., Any], free_port: Callable[[], int], store: Path, workers: int
) -> None:
    address = f"127.0.0.1:{free_port()}"
    server = start_server(
        store, "--workers", str(workers), METRICS_LISTEN=address, TOKEN="the-token"
    )
    fetch(f"{server.url}/config/orders/prod", Authorization="Bearer the-token")
    wait_for(f"http://{address}/metrics", lambda found: requests(found) == 1)
    for url, status in (
        (f"http://{address}/config/orders/prod", 404),
        (f"{server.url}/metrics", 401),
    ):
        with pytest.raises(urllib.error.HTTPError, match=str(status)) as caught:
            fetch(url)
        caught.value.close()
    with pytest.raises(urllib.error.HTTPError, match="501") as caught:
        fetch(f"{server.url}/metrics", Authorization="Bearer the-token")
    caught.value.close()
    assert server.stop() == 0


def test_metrics_need_the_credential(start_server: Callable[..., Any], store: Path) -> None:
    server = start_server(store, METRICS="true", TOKEN="the-token")
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        fetch(f"{server.url}/metrics")
    caught.value.close()
    page = fetch(f"{server.url}/metrics", Authorization="Bearer the-token")
    assert b"pyfly_config_workers 1.0" in page
    assert b"the-token" not in page


def test_a_prometheus_server_gets_openmetrics(
    start_server: Callable[..., Any], store: Path
) -> None:
    server = start_server(store, METRICS="true")
    page = fetch(f"{server.url}/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert page.endswith(b"# EOF\n")


def test_no_counter_goes_back_when_workers_are_killed_under_load(
    start_server: Callable[..., Any], store: Path
) -> None:
    server = start_server(store, "--workers", "2", METRICS="true")
    ending = threading.Event()
    answered: list[int] = []

    def ask() -> None:
        while not ending.is_set():
            try:
                fetch(f"{server.url}/config/orders/prod")
            except OSError:  # the worker was killed
                continue
            answered.append(1)
            time.sleep(0.005)

    asking = threading.Thread(target=ask)
    asking.start()
    seen: list[dict[str, float]] = []

    def scrape() -> dict[str, float]:
        deadline = time.monotonic() + PATIENCE
        while True:
            time.sleep(0.05)
            try:
                seen.append(values(fetch(f"{server.url}/metrics")))
            except OSError:  # the worker was killed
                assert time.monotonic() < deadline
                continue
            return seen[-1]

    try:
        for restarts in (1, 2):
            before = requests(scrape())
            deadline = time.monotonic() + PATIENCE
            while requests(scrape()) < before + 20:
                assert time.monotonic() < deadline
            os.kill(server.workers()[-1], signal.SIGKILL)
            while not (
                scrape()["pyfly_config_worker_restarts_total"] == restarts
                and seen[-1]["pyfly_config_workers"] == 2
            ):
                assert time.monotonic() < deadline + PATIENCE
    finally:
        ending.set()
        asking.join()
    growing = ("_total", "_bucket", "_count", "_sum")
    for earlier, later in itertools.pairwise(seen):
        for name, value in earlier.items():
            if name.partition(" ")[0].endswith(growing):
                assert later[name] >= value, name
    total = requests(wait_for(f"{server.url}/metrics", lambda found: requests(found) > 60))
    assert total <= len(answered) + 3  # a request that was answered, and whose client saw the kill


@each_number_of_workers
def test_a_reload_keeps_the_counts(
    start_server: Callable[..., Any], free_port: Callable[[], int], store: Path, workers: int
) -> None:
    address = f"127.0.0.1:{free_port()}"
    server = start_server(store, "--workers", str(workers), METRICS_LISTEN=address)
    for _ in range(10):
        fetch(f"{server.url}/config/orders/prod")
    url = f"http://{address}/metrics"
    wait_for(url, lambda found: requests(found) == 10)
    for reloads in (1, 2):
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE
        while server.output().count("settings reloaded") < reloads:
            assert time.monotonic() < deadline
            assert requests(values(fetch(url))) == 10
            time.sleep(0.05)
    fetch(f"{server.url}/config/orders/prod")
    found = wait_for(url, lambda found: requests(found) == 11)
    found = wait_for(url, lambda found: found["pyfly_config_workers"] == workers)
    assert found["pyfly_config_worker_restarts_total"] == 0
    assert server.stop() == 0


def test_a_new_address_for_metrics_needs_a_restart(
    start_server: Callable[..., Any], store: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("metrics = false\n", encoding="utf-8")
    server = start_server(store, "--settings", str(settings))
    settings.write_text("metrics = true\n", encoding="utf-8")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("a new value of 'metrics' needs a restart")


def test_the_files_of_the_workers_are_private_and_go_with_the_server(
    start_server: Callable[..., Any], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    server = start_server(store, "--workers", "2", METRICS="true")
    wait_for(f"{server.url}/metrics", lambda found: found["pyfly_config_workers"] == 2)
    (directory,) = temporary.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in directory.glob("*.counters")} == {"0.counters", "1.counters"}
    assert server.stop() == 0
    assert [*temporary.iterdir()] == []


@pytest.mark.parametrize("settings", [{}, {"METRICS": "false"}])
def test_without_the_setting_there_are_no_metrics_and_no_files(
    start_server: Callable[..., Any],
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    server = start_server(store, "--workers", "2", **settings)
    with pytest.raises(urllib.error.HTTPError, match="501") as caught:
        fetch(f"{server.url}/metrics")
    caught.value.close()
    assert [*temporary.iterdir()] == []


@each_number_of_workers
def test_an_address_that_is_in_use_is_reported(
    start_server: Callable[..., Any], store: Path, workers: int
) -> None:
    other = start_server(store)
    address = f"127.0.0.1:{other.port}"
    with pytest.raises(RuntimeError, match=f"cannot listen on {re.escape(address)}: .*for metrics"):
        start_server(store, "--workers", str(workers), METRICS_LISTEN=address)


@pytest.mark.external
def test_prometheus_finds_nothing_to_correct(
    start_server: Callable[..., Any], run: Callable[..., bytes], store: Path
) -> None:
    server = start_server(store, METRICS="true")
    for path in ("config/orders/prod", "config/orders/prod", "health/live"):
        fetch(f"{server.url}/{path}")
    page = fetch(f"{server.url}/metrics")
    assert requests(values(page)) == 2
    run("promtool", "check", "metrics", given=page)
