"""What listing 10,000 bundles costs: the filesystem backend against a walk that reads every file.

`list()` parses every file, `keys()` does so too, to tell what is wrong with it; the walk only
reads the bytes. There are more files than the backend remembers. While a listing runs, a task
wakes up every millisecond; the longest it was late is the longest block of the event loop.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import partial
from pathlib import Path

from _load import compare, read_options, report
from pyfly.config_core import JsonValue
from pyfly.config_server import FilesystemConfigBackend
from pyfly.config_server.formats.text import dump_text

BUNDLES = 10_000
LABELS = ("main", "release-1.4", "feature/x")
TICK = 0.001


def fill(root: Path) -> None:
    """Write the bundles, ten properties each."""
    for label in LABELS:
        (root / label).mkdir(parents=True)
    for number in range(BUNDLES):
        properties: dict[str, JsonValue] = {
            "name": f"service{number}",
            "server": {"port": 8000 + number, "host": "0.0.0.0"},  # noqa: S104 - only a text
            "database": {"url": f"postgresql://db/{number}", "pool": {"size": 5, "timeout": 30}},
            "features": ["a", "b", "c"],
            "enabled": True,
        }
        path = root / LABELS[number % len(LABELS)] / f"service{number}-prod.yaml"
        path.write_bytes(dump_text(properties, suffix=".yaml"))


def walk(root: Path) -> int:
    files = 0
    for directory, _, names in os.walk(root):
        for name in names:
            Path(directory, name).read_bytes()
            files += 1
    return files


async def count_list(backend: FilesystemConfigBackend) -> int:
    return len(await backend.list())


async def count_keys(backend: FilesystemConfigBackend) -> int:
    return len([entry async for entry in backend.keys()])  # noqa: SIM118 - no mapping


@contextlib.asynccontextmanager
async def ticking() -> AsyncGenerator[list[float]]:
    """Collect how late a task wakes up, in seconds."""
    late = [0.0]

    async def tick() -> None:
        while True:
            asleep = time.perf_counter()
            await asyncio.sleep(TICK)
            late.append(time.perf_counter() - asleep - TICK)

    task = asyncio.create_task(tick())
    yield late
    task.cancel()


async def watched(count: Callable[[], Coroutine[None, None, int]], blocks: list[float]) -> int:
    """Count, and note the longest block of the event loop in milliseconds."""
    async with ticking() as late:
        found = await count()
    blocks.append(1000 * max(late))
    return found


def bundles_per_second(count: Callable[[], int]) -> float:
    began = time.perf_counter()
    if (found := count()) != BUNDLES:
        raise RuntimeError(f"{found} bundles were found")
    return BUNDLES / (time.perf_counter() - began)


def main() -> int:
    options = read_options(__doc__, rounds=5)
    blocks: dict[str, list[float]] = {"list": [], "keys": []}
    with tempfile.TemporaryDirectory() as path, asyncio.Runner() as runner:
        fill(Path(path))
        backend = FilesystemConfigBackend(path)
        counts = {
            "walk": lambda: walk(Path(path)),
            "list": lambda: runner.run(watched(partial(count_list, backend), blocks["list"])),
            "keys": lambda: runner.run(watched(partial(count_keys, backend), blocks["keys"])),
        }
        measures = {name: partial(bundles_per_second, count) for name, count in counts.items()}
        rates = compare(measures, options)
        runner.run(backend.aclose())
    report(rates, options, unit="bundles", longest_block_ms=blocks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
