"""Readers of a repository while it is pushed to."""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _git_repository import APPLICATIONS, KEYS, Pushed, git, open_store, url

from _load import percentile, table
from _processes import HERE, ask, free_port, running, serve, settle
from _stores import BEARER, LIVE, SETTINGS
from pyfly.config_core import BASE_PROFILE, ConfigKey
from pyfly.config_git import GitConfigBackend
from pyfly.config_server import ConfigSource

READERS = 8
PACE = 0.005
"""Seconds between two requests of a reader that does not ask as fast as it can."""
EVERY = 0.1
"""Seconds between two pushes of a very busy team."""
PACES = {"store": None, "server": 0.0, "paced": PACE}
"""How readers read: the store in this process and a server as fast as they can, or in a pace."""
READ = [*KEYS, ConfigKey(application=APPLICATIONS[0], profile=BASE_PROFILE)]
PATHS = [f"/config/{one}/prod/main" for one in APPLICATIONS]
_TICKS = os.sysconf("SC_CLK_TCK")

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is pushed while somebody reads."""

    name: str
    seconds: float = 0.0
    """How long it is read if nothing is pushed."""
    pushes: int = 0
    pause: float = 0.0
    is_served: bool = False
    """False if it is another repository that nobody reads: what git itself takes."""


def cases(pushes: int, seconds: float) -> list[Case]:
    """Return all cases: some seconds without pushes first."""
    return [
        Case(name="quiet", seconds=seconds),
        Case(name="elsewhere, every 100 ms", pushes=pushes, pause=EVERY),
        Case(name="every 100 ms", pushes=pushes, pause=EVERY, is_served=True),
        Case(name="elsewhere, without pause", pushes=pushes),
        Case(name="without pause", pushes=pushes, is_served=True),
    ]


class Pushes:
    """The pushes of all cases.

    Args:
        directory: Where the repositories are.
        commits: How many may be pushed to each.
    """

    def __init__(self, directory: Path, commits: int) -> None:
        self.served = Pushed(directory, "r.git", commits)
        self._other = Pushed(directory, "other.git", commits)
        self._clone = directory / "clone.git"
        git(directory, "clone", "--quiet", "--bare", str(self._other.remote), str(self._clone))

    async def run(self, case: Case, *webhook: str) -> AsyncIterator[str]:
        """Push; yield each commit when it was pushed to the repository that is read.

        Args:
            case: What to push.
            webhook: The port of the server to tell, and headers as JSON.
        """
        if not case.pushes:
            await asyncio.sleep(case.seconds)
            return
        where = self.served if case.is_served else self._other
        after = webhook if case.is_served else (str(self._clone),)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "_git_pusher.py")),
            *(str(where.work), str(where.remote), str(case.pause), *after),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError
        process.stdin.write("\n".join(where.take(case.pushes)).encode())
        process.stdin.close()
        async for line in process.stdout:
            if case.is_served:
                yield line.decode().split()[0]
        if await process.wait():
            raise RuntimeError("the pushes failed")


# --- readers of a store ---------------------------------------------------------------


async def read_store(store: GitConfigBackend, pushes: Pushes, case: Case) -> Figures:
    """Return the figures of readers in this process. They read as fast as they can."""
    latencies: list[float] = []
    seen: Counter[tuple[str | None, tuple[object, ...]]] = Counter()
    is_done = asyncio.Event()

    async def read() -> None:
        while not is_done.is_set():
            began = time.perf_counter()
            found = await store.fetch_snapshot(READ)
            latencies.append(time.perf_counter() - began)
            ports = (found.sources[0], found.sources[-1])
            seen[found.version, tuple(_port(one) for one in ports)] += 1

    readers = [asyncio.create_task(read()) for _ in range(READERS)]
    before, _ = _spent(os.getpid())
    began = time.perf_counter()
    async for _ in pushes.run(case):
        await store.refetch()
    seconds = time.perf_counter() - began
    is_done.set()
    await asyncio.gather(*readers)
    known = pushes.served.numbers
    wrong = sum(
        count
        for (version, ports), count in seen.items()
        if version in known and ports != (known[version],) * 2
    )
    return {
        **_latencies(latencies, seconds),
        "cores": (_spent(os.getpid())[0] - before) / seconds,
        "commits": len({version for version, _ in seen}),
        "wrong": wrong,
    }


def _port(source: ConfigSource | None) -> object:
    server: Any = None if source is None else source.properties["server"]
    return server and server["port"]


# --- readers of a server --------------------------------------------------------------


async def read_server(port: int, pid: int, pushes: Pushes, case: Case, pace: float) -> Figures:
    """Return the figures of readers in a process of their own."""
    headers = json.dumps(BEARER)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / "_git_readers.py"), str(port), str(READERS), str(pace)),
        *(headers, *PATHS),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=2**28,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError
    await process.stdout.readline()
    before = _spent(pid)
    began = time.perf_counter()
    async for _ in pushes.run(case, str(port), headers):
        pass
    seconds = time.perf_counter() - began
    own, children = (b - a for a, b in zip(before, _spent(pid), strict=True))
    process.stdin.close()
    found: dict[str, Any] = json.loads(await process.stdout.read())
    await process.wait()
    documents = [json.loads(body) for body, _ in found["bodies"]]
    known = pushes.served.numbers
    return {
        **_latencies(found["latencies"], seconds),
        "cores": own / seconds,
        "git_cores": children / seconds,
        "commits": len({one["version"] for one in documents}),
        "wrong": sum(not _is_of_one_commit(one, known) for one in documents),
    }


def _is_of_one_commit(document: Mapping[str, Any], numbers: Mapping[str, int]) -> bool:
    """True if the document has the number of its commit in every file that commits change."""
    number = numbers.get(document["version"])
    ports = [one["source"]["server.port"] for one in document["propertySources"]]
    if number is None or document["name"] != APPLICATIONS[0]:
        return len(ports) == 1 or len({*ports}) == 1
    return ports == [number, number]


# --- all ------------------------------------------------------------------------------


def _spent(pid: int) -> tuple[float, float]:
    """Return the processor time of a process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    own, children = fields[11:13], fields[13:15]
    return sum(map(int, own)) / _TICKS, sum(map(int, children)) / _TICKS


def _latencies(latencies: Sequence[float], seconds: float) -> Figures:
    return {
        "reads_per_second": len(latencies) / seconds,
        "median_ms": 1000 * percentile(latencies, 0.5),
        "p99_ms": 1000 * percentile(latencies, 0.99),
        "max_ms": 1000 * max(latencies),
    }


def measure_pushes(directory: Path, options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Return the figures of all cases by their names, of every round."""
    chosen = cases(options.pushes, options.seconds)
    pushes = Pushes(directory, options.rounds * len(PACES) * 2 * options.pushes)
    found: dict[str, list[Figures]] = {}
    for _ in range(options.rounds):
        for who, pace in PACES.items():
            for case, figures in _measure_readers(directory, pushes, chosen, pace):
                name = f"{who}, {case.name}"
                found.setdefault(name, []).append(figures)
                if not options.json:
                    row = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
                    print(f"{name}: {row}", flush=True)
    return found


def _measure_readers(
    directory: Path, pushes: Pushes, chosen: Sequence[Case], pace: float | None
) -> Generator[tuple[Case, Figures]]:
    """Yield the figures of each case, for readers of a server or of a store in this process."""
    if pace is None:
        with asyncio.Runner() as runner:
            store = open_store(directory)
            runner.run(store.fetch_snapshot(READ))
            settle(os.getpid())
            for case in chosen:
                yield case, runner.run(read_store(store, pushes, case))
            runner.run(store.aclose())
        return
    port = free_port()
    with running(serve(port, url(directory)), port, LIVE, variables=SETTINGS) as process:
        for path in PATHS:
            ask(port, path, headers=BEARER)
        settle(process.pid)
        for case in chosen:
            yield case, asyncio.run(read_server(port, process.pid, pushes, case, pace))


def show_pushes(found: Mapping[str, Sequence[Figures]]) -> None:
    """Print a table of medians, and of the ratios within one round to the quiet case."""
    rows: list[list[str]] = []
    for name, rounds in found.items():
        quiet = found[f"{name.split(', ')[0]}, quiet"]
        ratios = [
            one["median_ms"] / other["median_ms"] for one, other in zip(rounds, quiet, strict=True)
        ]
        middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        rows.append(
            [
                name,
                f"{middle['reads_per_second']:,.0f}",
                f"{middle['median_ms']:.2f}",
                f"{statistics.median(ratios):.2f}",
                f"{middle['p99_ms']:.2f}",
                f"{middle['cores']:.2f}",
                f"{middle['git_cores']:.2f}" if "git_cores" in middle else "",
                f"{middle['commits']:.0f}",
                f"{sum(one['wrong'] for one in rounds):.0f}",
            ]
        )
    head = ("readers, pushes", "reads per second", "median, ms", "ratio to quiet", "99 %, ms")
    table([*head, "cores", "cores of its git", "commits seen", "wrong"], rows)
