"""Counters of several processes in the files of their slots."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyfly.config_server.live import slots
from pyfly.config_server.live.counter_encoding import encode_counters
from pyfly.config_server.live.counters import Counters
from pyfly.config_server.live.slots import published_counters, read_slots

PATIENCE = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "PUBLISH_SECONDS", 0.01)


def test_counters_are_published_while_the_process_runs(tmp_path: Path) -> None:
    with published_counters(tmp_path, 0) as counters:
        assert read_slots(tmp_path).processes == 1
        counters.answered("environment", 200, 0.1)
        counters.watchers = 3
        wait_until(lambda: read_slots(tmp_path).watchers == 3)
        assert read_slots(tmp_path).routes["environment"].statuses == {200: 1}


def test_at_the_end_the_counts_stay_and_the_gauges_go(tmp_path: Path) -> None:
    with published_counters(tmp_path, 0) as counters:
        counters.hits, counters.watchers = 5, 3
        counters.looked(1, 100.0)
    found = read_slots(tmp_path)
    assert (found.hits, found.watchers, found.processes) == (5, 0, 0)
    assert (found.stores[1].looks, found.stores[1].last_look) == (1, None)


def test_a_successor_continues(tmp_path: Path) -> None:
    with published_counters(tmp_path, 0) as counters:
        counters.hits, counters.watchers = 5, 3
    with published_counters(tmp_path, 0) as counters:
        assert (counters.hits, counters.watchers, counters.restarts) == (5, 0, 0)
    with published_counters(tmp_path, 0, restarted=True) as counters:
        found = read_slots(tmp_path)
        assert (found.hits, found.processes, found.restarts) == (5, 1, 1)


def test_slots_are_added(tmp_path: Path) -> None:
    with published_counters(tmp_path, 0) as one, published_counters(tmp_path, 1) as other:
        one.hits, other.hits = 5, 7
        wait_until(lambda: read_slots(tmp_path).hits == 12)
        assert read_slots(tmp_path).processes == 2


KILLED = """
import sys, time
from pathlib import Path
from pyfly.config_server.live.slots import published_counters

with published_counters(Path(sys.argv[1]), 0) as counters:
    counters.hits, counters.watchers = 5, 3
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_its_counts_and_no_gauges(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        wait_until(lambda: read_slots(tmp_path).watchers == 3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    found = read_slots(tmp_path)
    assert (found.hits, found.watchers, found.processes) == (5, 0, 0)


def test_a_file_of_another_release_counts_as_none(tmp_path: Path) -> None:
    other = {**json.loads(encode_counters(Counters())), "format": 0}
    content = b"%d\n" % os.getpid() + json.dumps(other).encode()
    (tmp_path / "0.counters").write_bytes(content)
    assert read_slots(tmp_path).processes == 0
    with published_counters(tmp_path, 0) as counters:
        assert (counters.processes, counters.restarts) == (1, 0)


def test_a_failure_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = tmp_path / "slots"
    directory.mkdir()
    with published_counters(directory, 0):
        (directory / "0.counters").unlink()
        wait_until((directory / "0.counters").exists)
        moved = directory.rename(tmp_path / "moved")
        wait_until(lambda: len(caplog.records) == 1)
        moved.rename(directory)
    (record,) = caplog.records
    assert (record.levelno, "out of date" in record.message) == (logging.WARNING, True)
    assert read_slots(directory).processes == 0


def test_a_reader_never_sees_counts_go_back(tmp_path: Path) -> None:
    ending = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not ending.is_set():
            found = read_slots(tmp_path)
            seen.append(sum(found.routes["environment"].statuses.values()))

    with published_counters(tmp_path, 0) as counters:
        reader = threading.Thread(target=read)
        reader.start()
        for status in range(200, 500):
            for _ in range(20):
                counters.answered("environment", status, 0.001)
        wait_until(lambda: bool(seen) and seen[-1] == 6000)
        ending.set()
        reader.join()
    assert seen == sorted(seen)
