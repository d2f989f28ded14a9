"""Processes that write to one SQLite file, and processes that are killed while they do."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest

from pyfly.config_core import ConfigKey
from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import ABSENT
from pyfly.config_sql import SqlConfigBackend

ORDERS = ConfigKey(application="orders", profile="prod")

COMMITS, KILLS = 60, 12
PROCESSES, INCREMENTS = 4, 25

COMMIT = '''
"""Fork a writer, kill it after some commits; again and again. Tell what was acknowledged."""

import asyncio, json, os, random, signal, sys, time

from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import ANY
from pyfly.config_sql import SqlConfigBackend

url, commits, kills = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(20261124)


async def write(number, acknowledge):
    backend = SqlConfigBackend.from_url(url)
    while True:
        number += 1
        bundle = {"number": number, "filling": [str(number)] * 500, "end": number}
        source = ConfigSource(application="orders", profile="prod", properties=bundle)
        version = await backend.commit(source, expected=ANY, message=str(number))
        os.write(acknowledge, b"%20d%20d" % (int(version), number))


def start(number):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(write(number, writing))
        finally:
            os._exit(1)
    os.close(writing)
    return child, open(reading, "rb")


acknowledged, number = {}, 0
for _ in range(kills):
    child, told = start(number)
    with told:
        rows = [told.read(40) for _ in range(commits // kills)]
        time.sleep(chance.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while row := told.read(40):
            rows.append(row)
    for row in rows:
        number = int(row[20:])
        acknowledged[int(row[:20])] = number
print(json.dumps(acknowledged))
'''

COUNT = '''
"""Increment the stored number again and again; after a conflict read it and try again."""

import asyncio, json, sys

from pyfly.config_core import ConfigConflictError
from pyfly.config_server import ConfigSource
from pyfly.config_sql import SqlConfigBackend

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
    backend = SqlConfigBackend.from_url(sys.argv[1])
    await backend.check()
    print("ready", flush=True)
    sys.stdin.readline()
    while len(found["acknowledged"]) < int(sys.argv[2]) and not found["others"]:
        await increment(backend)
    await backend.aclose()


asyncio.run(main())
print(json.dumps(found), flush=True)
'''

_Result = TypeVar("_Result")


def with_store(url: str, use: Callable[[SqlConfigBackend], Awaitable[_Result]]) -> _Result:
    async def run() -> _Result:
        backend = SqlConfigBackend.from_url(url)
        result = await use(backend)
        await backend.aclose()
        return result

    return asyncio.run(run())


def start(stack: ExitStack, script: str, *arguments: object) -> Any:
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
    )
    stack.callback(process.kill)
    return process


@pytest.mark.slow
def test_kills_among_commits_lose_nothing_acknowledged_and_leave_nothing_half(
    url: str, times: int
) -> None:
    commits, kills = COMMITS * times, KILLS * times
    done = subprocess.run(
        [sys.executable, "-c", COMMIT, url, str(commits), str(kills)],
        capture_output=True,
        encoding="utf-8",
        timeout=170 * times,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    acknowledged: dict[str, int] = json.loads(done.stdout)
    assert len(acknowledged) >= commits

    async def look(backend: SqlConfigBackend) -> None:
        rows = await backend.history(ORDERS, limit=1000)
        assert [row.version for row in rows] == [str(n) for n in range(len(rows), 0, -1)]
        for row in rows:
            source = await backend.fetch_version(ORDERS, version=row.version)
            assert source is not None
            number = source.properties["number"]
            assert source.properties == {
                "number": number,
                "filling": [str(number)] * 500,
                "end": number,
            }
            assert row.message == str(number)
            assert acknowledged.get(row.version, number) == number
        assert acknowledged.keys() <= {row.version for row in rows}
        assert len(rows) - len(acknowledged) <= kills  # committed, killed before it was said
        current = await backend.fetch("orders", "prod")
        assert current is not None
        assert current.version == rows[0].version

    with_store(url, look)


@pytest.mark.slow
def test_no_increment_of_several_processes_is_lost(url: str, times: int) -> None:
    increments = INCREMENTS * times
    first = ConfigSource(application="orders", profile="prod", properties={"number": 0})
    with_store(url, lambda backend: backend.commit(first, expected=ABSENT))
    with ExitStack() as stack:
        processes = [start(stack, COUNT, url, increments) for _ in range(PROCESSES)]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * PROCESSES
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        found = [json.loads(process.stdout.readline()) for process in processes]
    assert [row["others"] for row in found] == [[]] * PROCESSES
    acknowledged = sorted(number for row in found for number in row["acknowledged"])
    assert acknowledged == [*range(1, PROCESSES * increments + 1)]
    stored = with_store(url, lambda backend: backend.fetch("orders", "prod"))
    assert stored is not None
    assert stored.properties == {"number": PROCESSES * increments}
    assert stored.version == str(PROCESSES * increments + 1)
