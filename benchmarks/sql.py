"""What a SQLite file costs: reading a document among many bundles, committing, copying.

`thousand` and `million` read the documents of applications all over a store of 1,000 and of
1,000,000 bundles, six keys in one statement each; the size of a store should not matter.
`insert` is one bare insert of SQLAlchemy in a transaction of its own, with the same driver and
the same durability; `commit` also takes a version, looks at what is stored, and keeps a
revision; `commits` makes a hundred at the same time. `copy` is the command, from a directory
of 1,000 files into a new file. The files lie in TMPDIR; where that is memory, a flush costs
nothing.
"""

import argparse
import asyncio
import contextlib
import io
import itertools
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, Table, Text, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from _load import compare, read_options, report
from pyfly.config_cli import main as command
from pyfly.config_core import JsonValue
from pyfly.config_server import ConfigServer, ConfigSource
from pyfly.config_server.storage import ANY
from pyfly.config_sql import SqlConfigBackend
from pyfly.config_sql._content import dump
from pyfly.config_sql._engine import open_engine

FETCHES, COMMITS, TOGETHER, COPIED = 300, 100, 100, 1_000
SIZES = {"thousand": 1_000, "million": 1_000_000}
PROFILES = ("default", "prod", "eu")
PROPERTIES: dict[str, JsonValue] = {
    "server": {"port": 8000, "host": "localhost"},
    "database": {"url": "postgresql://db/orders", "pool": {"size": 5, "timeout": 30}},
    "features": ["a", "b", "c"],
    "enabled": True,
}
BARE = Table("bare", MetaData(), Column("id", Integer, primary_key=True), Column("text", Text))


def rows(bundles: int) -> Iterator[tuple[str, str, str, int]]:
    for number in range(1, bundles + 1):
        yield "main", f"app{number // 3:07}", PROFILES[number % 3], number


def fill(path: Path, bundles: int) -> None:
    """Put bundles into the tables of a store, as commits would have."""
    text = dump(PROPERTIES)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO pyfly_config_bundle VALUES (?, ?, ?, ?, 0)", rows(bundles)
        )
        connection.executemany(
            "INSERT INTO pyfly_config_revision VALUES "
            "(?4, ?1, ?2, ?3, '2026-01-01 00:00:00.000000', NULL, NULL, ?5)",
            ((*name, text) for name in rows(bundles)),
        )
        connection.execute("UPDATE pyfly_config_sequence SET version = ?", (bundles,))


async def fetch(server: ConfigServer, applications: int, chance: random.Random) -> float:
    began = time.perf_counter()
    for _ in range(FETCHES):
        name = f"app{chance.randrange(1, applications):07}"
        document = (await server.compose(name, "prod,eu", None)).environment
        if len(document.property_sources) != len(PROFILES):
            raise RuntimeError(f"{name} is not whole")
    return FETCHES / (time.perf_counter() - began)


async def bare(engine: AsyncEngine) -> float:
    text = dump(PROPERTIES)
    began = time.perf_counter()
    for _ in range(COMMITS):
        async with engine.begin() as connection:
            await connection.execute(insert(BARE).values(text=text))
    return COMMITS / (time.perf_counter() - began)


async def make_bare(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        await connection.run_sync(BARE.create)


def bundle(number: int) -> ConfigSource:
    return ConfigSource(application=f"new{number}", profile="prod", properties=PROPERTIES)


async def commit(backend: SqlConfigBackend, numbers: "itertools.count[int]") -> float:
    began = time.perf_counter()
    for _ in range(COMMITS):
        await backend.commit(bundle(next(numbers)), expected=ANY)
    return COMMITS / (time.perf_counter() - began)


async def commits(backend: SqlConfigBackend, numbers: "itertools.count[int]") -> float:
    began = time.perf_counter()
    made = (backend.commit(bundle(next(numbers)), expected=ANY) for _ in range(TOGETHER))
    await asyncio.gather(*made)
    return TOGETHER / (time.perf_counter() - began)


def write_files(directory: Path) -> None:
    (directory / "main").mkdir(parents=True)
    for number in range(COPIED):
        (directory / "main" / f"app{number:05}-prod.json").write_text(
            dump(PROPERTIES), encoding="utf-8"
        )


def copy(directory: Path, numbers: "itertools.count[int]") -> float:
    url = f"sqlite:///{directory.parent}/copy{next(numbers)}.db"
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        if command(["copy", str(directory), url]) != 0:
            raise RuntimeError("the copy failed")
    return COPIED / (time.perf_counter() - began)


def main() -> int:
    options = read_options(__doc__, rounds=5)
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as path:
        write_files(Path(path, "files"))
        copies = compare({"copy": lambda: copy(Path(path, "files"), numbers)}, options)
        report(copies, options, unit="bundles")
        with asyncio.Runner() as runner:
            measure(Path(path), runner, options)
    return 0


def measure(path: Path, runner: asyncio.Runner, options: argparse.Namespace) -> None:
    numbers = itertools.count()
    chance = random.Random(20261124)  # noqa: S311 - the same applications in every run
    backends = {name: SqlConfigBackend.from_url(f"sqlite:///{path}/{name}.db") for name in SIZES}
    for name, backend in backends.items():
        runner.run(backend.upgrade())
        fill(path / f"{name}.db", SIZES[name])
    engine, _ = open_engine(f"sqlite:///{path}/bare.db")
    runner.run(make_bare(engine))

    def read(name: str) -> float:
        return runner.run(fetch(ConfigServer(backends[name]), SIZES[name] // 3, chance))

    reads = {name: partial(read, name) for name in SIZES}
    report(compare(reads, options), options, unit="documents")
    writes = {
        "insert": lambda: runner.run(bare(engine)),
        "commit": lambda: runner.run(commit(backends["thousand"], numbers)),
        "commits": lambda: runner.run(commits(backends["thousand"], numbers)),
    }
    report(compare(writes, options), options, unit="changes")
    for backend in backends.values():
        runner.run(backend.aclose())
    runner.run(engine.dispose())


if __name__ == "__main__":
    sys.exit(main())
