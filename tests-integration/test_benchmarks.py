"""Every benchmark and proof of load runs in a short form; what it measures fails nothing here."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[1]
SECONDS = 300

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def bench() -> Callable[..., dict[str, Any]]:
    """Run a benchmark in its short form; return what it prints as JSON."""

    def run(name: str, *arguments: str, needs: tuple[str, ...] = ("wrk",)) -> dict[str, Any]:
        if missing := [one for one in needs if shutil.which(one) is None]:
            reason = f"needs {', '.join(missing)}"
            pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)
        program = CHECKOUT / "benchmarks" / f"{name}.py"
        done = subprocess.run(
            [sys.executable, str(program), "--short", "--json", *arguments],
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


def test_reading_is_compared_with_an_empty_handler_for_every_form_and_store(
    bench: Callable[..., dict[str, Any]],
) -> None:
    ratios = bench("serve")["ratio"]
    assert set(ratios) == {
        *("files / empty", "files, 304 / empty, 304", "files, no-cache / empty"),
        *(f"files, .{one} / empty, .{one}" for one in ("json", "yml", "properties")),
        *(f"{one} / empty" for one in ("files, bearer", "memory", "SQLite", "S3", "plugin")),
    }
    assert all(low > 0 for low, _, _ in ratios.values())


def test_many_documents_and_changes_are_compared_with_one_quiet_document(
    bench: Callable[..., dict[str, Any]],
) -> None:
    ratios = bench("hot")["ratio"]
    assert set(ratios) == {
        *("thousand / one", "ten thousand / one"),
        *("changes / thousand", "shared / quiet"),
    }
    assert all(low > 0 for low, _, _ in ratios.values())


@pytest.mark.parametrize("documents", ["1", "7", "distinct"])
def test_no_watcher_misses_a_publish(bench: Callable[..., dict[str, Any]], documents: str) -> None:
    found = bench("watch", "publishes", "--documents", documents)["publishes"]
    assert set(found) == {"bare", f"files, {documents}"}
    for figures in found.values():
        assert (figures["missed"], figures["wrong"], figures["watchers"]) == (0, 0, 40)
        assert 0 < figures["informed_p50_ms"] <= figures["informed_max_ms"]


def test_watchers_get_the_last_of_many_publishes(bench: Callable[..., dict[str, Any]]) -> None:
    found = bench("watch", "burst")["burst"]["memory"]
    assert (found["missed"], found["wrong"]) == (0, 0)
    assert found["published_per_second"] > 0


def test_plain_reads_go_on_beside_idle_watchers(bench: Callable[..., dict[str, Any]]) -> None:
    found = bench("watch", "idle")["idle"]["files"]
    assert found["wrong"] == 0
    assert found["beside_per_second"] > 0


def test_clients_that_go_away_leave_nothing_behind(bench: Callable[..., dict[str, Any]]) -> None:
    found = bench("watch", "aborts")["aborts"]["memory"]
    assert found["tasks_more"] <= 0
    assert found["descriptors_more"] <= 0


def test_watchers_of_a_server_that_ends_go_on_at_another_one(
    bench: Callable[..., dict[str, Any]],
) -> None:
    found = bench("watch", "stop")["stop"]["files"]
    assert (found["missed"], found["wrong"], found["without_answer"]) == (0, 0, 0)
    assert found["answers_with_close"] == found["watchers"]


@pytest.mark.external
@pytest.mark.parametrize(
    ("peer", "own", "programs"),
    [
        ("etcd", "pyfly", ["etcd"]),
        ("spring", "pyfly", ["java", "mvn"]),
        ("spring-git", "pyfly-git", ["java", "mvn", "git"]),
        ("dogma", "pyfly", ["java", "mvn"]),
    ],
)
def test_other_servers_answer_the_same_document(
    bench: Callable[..., dict[str, Any]], peer: str, own: str, programs: list[str]
) -> None:
    found = bench("peers", peer, needs=("wrk", *programs))["peers"]
    assert set(found) == {own, peer}
    assert found[peer]["requests_per_second"] > 0


def test_memory_and_descriptors_do_not_grow_under_mixed_load() -> None:
    program = CHECKOUT / "proofs" / "soak.py"
    done = subprocess.run(
        [sys.executable, str(program), "--seconds", "20", "--fill", "200", "--names", "200"],
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_git_repository_is_compared_with_a_directory(
    bench: Callable[..., dict[str, Any]],
) -> None:
    ratios = bench("git", "reads", "--rounds", "1", needs=("git",))["ratio"]
    assert {"open / directory", "cold / cold files", "warm / warm files"} <= set(ratios)


def test_a_git_repository_is_read_while_it_is_pushed_to(
    bench: Callable[..., dict[str, Any]],
) -> None:
    found = bench("git", "pushes", "--rounds", "1", needs=("git",))
    pushed = {
        f"{who}, {when}"
        for who in ("store", "server", "paced")
        for when in ("every 100 ms", "without pause")
    }
    assert pushed <= set(found["pushes_median_ms"])
    assert {wrong for spread in found["pushes_wrong"].values() for wrong in spread} == {0}
