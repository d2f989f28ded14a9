"""Conditional writers in several processes: nothing is overwritten unseen."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from blocking_files import BundleFiles

from pyfly.config_core import ConfigKey
from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import ABSENT, Expected

PROCESSES, TASKS, ROUNDS = 2, 25, 20
WRITERS, INCREMENTS = 8, 40

ROUND = '''
"""For every version on the standard input, let all tasks write at once; tell what became of it."""

import asyncio, json, sys

from pyfly.config_core import ConfigConflictError
from pyfly.config_server import ConfigSource, FilesystemConfigBackend

root, process, tasks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def write(backend, writer, expected):
    source = ConfigSource(
        application="orders", profile="prod", properties={"writer": writer, "expected": expected}
    )
    try:
        return {"writer": writer, "won": await backend.commit(source, expected=expected)}
    except ConfigConflictError as error:
        return {"writer": writer, "current": error.current}
    except Exception as error:
        return {"writer": writer, "failed": repr(error)}


async def main():
    backend = FilesystemConfigBackend(root)
    for line in iter(sys.stdin.readline, ""):
        writers = range(process * tasks, (process + 1) * tasks)
        writes = asyncio.gather(*(write(backend, n, line.strip()) for n in writers))
        told = await asyncio.wait_for(writes, 60)
        print(json.dumps(told), flush=True)


print("ready", flush=True)
asyncio.run(main())
'''

COUNTER = '''
"""Increment the stored number again and again; after a conflict read it and try again."""

import asyncio, json, sys

from pyfly.config_core import ConfigConflictError
from pyfly.config_server import ConfigSource, FilesystemConfigBackend

root, increments = sys.argv[1], int(sys.argv[2])
found = {"acknowledged": [], "conflicts": 0, "others": []}


async def increment(backend):
    current = await backend.fetch("orders", "prod")
    number = current.properties["number"] + 1
    source = ConfigSource(application="orders", profile="prod", properties={"number": number})
    try:
        await backend.commit(source, expected=current.version)
        found["acknowledged"].append(number)
    except ConfigConflictError:
        found["conflicts"] += 1
    except Exception as error:
        found["others"].append(repr(error))


async def main():
    backend = FilesystemConfigBackend(root)
    while len(found["acknowledged"]) < increments and not found["others"]:
        await increment(backend)


print("ready", flush=True)
sys.stdin.readline()
asyncio.run(asyncio.wait_for(main(), 60))
print(json.dumps(found), flush=True)
'''


@contextmanager
def running(script: str, *arguments: object) -> Generator[Any]:
    """Start a process that has said that it is ready; kill it if it does not end by itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()


def say(process: Any, line: object) -> None:
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def stored(root: Path) -> ConfigSource:
    key = ConfigKey(application="orders", profile="prod")
    (source,) = BundleFiles(root).fetch_many([key])
    assert source is not None
    return source


def put(root: Path, properties: Any, expected: Expected) -> str:
    source = ConfigSource(application="orders", profile="prod", properties=properties)
    return BundleFiles(root).save(source, expected)


@pytest.mark.slow
def test_of_fifty_writers_in_two_processes_exactly_one_wins_every_round(
    tmp_path: Path, times: int
) -> None:
    version = put(tmp_path, {"writer": None}, ABSENT)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(running(ROUND, tmp_path, number, TASKS))
            for number in range(PROCESSES)
        ]
        for _ in range(ROUNDS * times):
            for process in processes:
                say(process, version)
            told = [row for process in processes for row in json.loads(process.stdout.readline())]
            won = [row for row in told if "won" in row]
            lost = [row["current"] for row in told if "current" in row]
            assert len(won) == 1, told
            assert lost == [won[0]["won"]] * (PROCESSES * TASKS - 1), told
            found = stored(tmp_path)
            assert found.properties == {"writer": won[0]["writer"], "expected": version}
            assert found.version == won[0]["won"]
            version = found.version
    assert [path.name for path in (tmp_path / "main").iterdir()] == ["orders-prod.yaml"]


@pytest.mark.slow
def test_no_increment_of_eight_processes_is_lost(tmp_path: Path, times: int) -> None:
    increments = INCREMENTS * times
    put(tmp_path, {"number": 0}, ABSENT)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(running(COUNTER, tmp_path, increments)) for _ in range(WRITERS)
        ]
        for process in processes:
            say(process, "go")
        found = [json.loads(process.stdout.readline()) for process in processes]
    acknowledged = sorted(number for row in found for number in row["acknowledged"])
    assert [row["others"] for row in found] == [[]] * WRITERS
    assert acknowledged == [*range(1, WRITERS * increments + 1)]
    assert stored(tmp_path).properties == {"number": WRITERS * increments}
    assert sum(row["conflicts"] for row in found) > 0
    assert [path.name for path in (tmp_path / "main").iterdir()] == ["orders-prod.yaml"]
