"""Publishes to held requests: how long until every watcher knows, and a burst of them."""

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Sequence

from _fleet import Fleet, run
from _load import percentile
from _prober import probing
from _processes import Running, processor_seconds, resident, settle
from _publisher import Connection, connect, publish
from _stores import BEARER, path_of, serving, serving_app

PATIENCE = 30.0
QUIET_SECONDS = 2.0
PAUSE = 0.4
WRITERS = 8
Figures = dict[str, float]


def paths_for(watchers: int, documents: int) -> list[str]:
    """Return what each watcher watches."""
    return [path_of(number % documents) for number in range(watchers)]


def measure_publishes(options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Return the figures of every round, for the bare handler and for every number of documents."""
    documents = {
        text: options.watchers if text == "distinct" else min(int(text), options.watchers)
        for text in options.documents
    }
    rounds: dict[str, list[Figures]] = {}
    for _ in range(options.rounds):
        with serving_app("_holding:make_holding") as server:
            figures = run(publishes(server, paths_for(options.watchers, 1), options))
            rounds.setdefault("bare", []).append(figures)
        for text, number in documents.items():
            with serving(options.store, number) as server:
                paths = paths_for(options.watchers, number)
                figures = run(publishes(server, paths, options))
            name = f"{options.store}, {text}"
            rounds.setdefault(name, []).append(figures)
    return rounds


async def publishes(server: Running, paths: Sequence[str], options: argparse.Namespace) -> Figures:
    """Publish again and again to watchers that wait."""
    writer = await connect(server.port)
    for path in set(paths):  # documents that are known already cost nothing more
        await read(writer, path)
    settle(server.pid)
    before = resident(server.pid)
    fleet = Fleet(server.port, paths, headers=BEARER)
    await fleet.connect()
    settle(server.pid)
    held = resident(server.pid)
    informed: list[float] = []
    stored: list[float] = []
    missed = 0
    with probing(server.port, path_of(0), BEARER) as prober:
        began = time.perf_counter()
        await asyncio.sleep(0.1 if options.short else QUIET_SECONDS)
        first, spent, answers = time.perf_counter(), processor_seconds(server.pid), fleet.changed
        for number in range(1, options.publishes + 1):
            fleet.expect(number)
            sent = time.perf_counter()
            await publish(writer, number, BEARER)
            stored.append(time.perf_counter() - sent)
            missed += await fleet.informed(PATIENCE)
            informed += [moment - sent for moment in fleet.times]
            await asyncio.sleep(PAUSE)
        last, spent = time.perf_counter(), processor_seconds(server.pid) - spent
    answers = fleet.changed - answers
    fleet.close()
    writer.close()
    quiet, meanwhile = prober.latencies(began, first), prober.latencies(first, last)
    return {
        "watchers": len(paths),
        "informed_p50_ms": 1000 * percentile(informed, 0.5),
        "informed_p99_ms": 1000 * percentile(informed, 0.99),
        "informed_max_ms": 1000 * max(informed, default=0),
        "cpu_us_per_answer": 1e6 * spent / max(1, answers),
        "stored_ms": 1000 * statistics.median(stored),
        "read_quiet_p99_ms": 1000 * percentile(quiet, 0.99),
        "read_p99_ms": 1000 * percentile(meanwhile, 0.99),
        "read_max_ms": 1000 * max(meanwhile, default=0),
        "kb_per_watcher": (held - before) / len(paths),
        "missed": missed,
        "wrong": fleet.refused + fleet.cut + fleet.backward,
    }


async def read(connection: Connection, path: str) -> None:
    """Read a document."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "a", **BEARER}.items())
    answer = await connection.ask(f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode())
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"no document: {answer[:400]!r}")


def measure_burst(options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Return the figures of every round, for the bare handler and for a store in memory."""
    rounds: dict[str, list[Figures]] = {"bare": [], "memory": []}
    for _ in range(options.rounds):
        with serving_app("_holding:make_holding") as server:
            rounds["bare"].append(run(burst(server, options)))
        with serving("memory", 1) as server:
            rounds["memory"].append(run(burst(server, options)))
    return rounds


async def burst(server: Running, options: argparse.Namespace) -> Figures:
    """Publish at a rate, from several connections, and wait for the last one to arrive."""
    fleet = Fleet(server.port, paths_for(options.watchers, 1), headers=BEARER)
    await fleet.connect()
    settle(server.pid)
    numbers = itertools.count(1)
    fleet.changed = 0
    began = time.perf_counter()

    async def write() -> None:
        connection = await connect(server.port)
        while True:
            number = next(numbers)
            due = began + number / options.rate
            if due > began + options.seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await publish(connection, number, BEARER)
        connection.close()

    await asyncio.gather(*(write() for _ in range(WRITERS)))
    seconds = time.perf_counter() - began
    last = 10**5  # above all others: which of the others was stored last depends on the server
    fleet.expect(last)
    writer = await connect(server.port)
    sent = time.perf_counter()
    await publish(writer, last, BEARER)
    missed = await fleet.informed(PATIENCE)
    fleet.close()
    return {
        "watchers": options.watchers,
        "published_per_second": options.rate * options.seconds / seconds,
        "answers_per_watcher_and_second": fleet.changed / options.watchers / seconds,
        "last_informed_max_ms": 1000 * (max(fleet.times, default=sent) - sent),
        "missed": missed,
        "wrong": fleet.refused + fleet.cut,
    }
