"""What a Git repository costs: opening it, reading from it, and reading while it is pushed to.

The repository has 5,000 files and 20,000 commits.

reads   `open` is a new store with a clone from before, until it has answered one bundle and listed
        all; the directory beside it has the same files. `first` reads six bundles of a new store,
        `warm` the same again, and `cold` five that nobody has read. `first files` and so on are
        those of a store of the directory; `read` is six `open().read()` of its files. Ratios are
        of rates, so more is better.
pushes  Eight readers while somebody pushes 200 commits, one every 100 ms or one after the other,
        and a webhook tells of each. They read seven bundles of a `store` in this process, or six
        documents of a `server` in a process of its own, as fast as they can; `paced` readers ask a
        server 200 times a second each, and their times count from when a request was due. Each
        commit changes a document. With `elsewhere`, the same is pushed to a repository that nobody
        reads, and fetched from there: what git itself takes of the machine. An answer that is not
        from exactly one commit is `wrong`, and makes the exit code 1.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from _git_pushes import measure_pushes, show_pushes
from _git_repository import KEYS, fill, open_store

from _load import add_short, compare, option_parser, report
from pyfly.config_core import ConfigKey
from pyfly.config_git import GitConfigBackend
from pyfly.config_server import FilesystemConfigBackend

READS = 200
COLD = 80
PARTS = ("reads", "pushes")


def open_files(directory: Path) -> FilesystemConfigBackend:
    return FilesystemConfigBackend.from_url(f"file://{directory}/files?layout=spring")


async def opened(make: Callable[[], GitConfigBackend | FilesystemConfigBackend]) -> float:
    began = time.perf_counter()
    async with make() as store:
        await store.fetch_many(KEYS[:1])
        count = len([one async for one in store.list_names()])
        seconds = time.perf_counter() - began
    if count == 0:
        raise RuntimeError("nothing was listed")
    return 1 / seconds


async def first(make: Callable[[], GitConfigBackend | FilesystemConfigBackend]) -> float:
    async with make() as store:
        await store.has_label("main")
        began = time.perf_counter()
        await store.fetch_many(KEYS)
        return 1 / (time.perf_counter() - began)


async def cold(make: Callable[[], GitConfigBackend | FilesystemConfigBackend]) -> float:
    async with make() as store:
        await store.fetch_many(KEYS)
        began = time.perf_counter()
        for number in range(COLD):
            names = [f"app{number * len(KEYS) + n + 1}" for n in range(len(KEYS) - 1)]
            await store.fetch_many([ConfigKey(application=one, profile="prod") for one in names])
        return COLD / (time.perf_counter() - began)


async def warm(store: GitConfigBackend | FilesystemConfigBackend) -> float:
    began = time.perf_counter()
    for _ in range(READS):
        await store.fetch_many(KEYS)
    return READS / (time.perf_counter() - began)


def read_files(directory: Path) -> float:
    paths = [directory / "files" / f"{key.stem}.yml" for key in KEYS]
    began = time.perf_counter()
    for _ in range(READS):
        for path in paths:
            with path.open("rb") as file:
                file.read()
    return READS / (time.perf_counter() - began)


def measure_reads(directory: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Return how often in a second each thing was done, of every round."""
    with asyncio.Runner() as runner:
        make_files, make_git = partial(open_files, directory), partial(open_store, directory)
        files, store = make_files(), make_git()
        runner.run(store.check())
        measures = {
            "directory": lambda: runner.run(opened(make_files)),
            "open": lambda: runner.run(opened(make_git)),
            "read": partial(read_files, directory),
            "first files": lambda: runner.run(first(make_files)),
            "first": lambda: runner.run(first(make_git)),
            "cold files": lambda: runner.run(cold(make_files)),
            "cold": lambda: runner.run(cold(make_git)),
            "warm files": lambda: runner.run(warm(files)),
            "warm": lambda: runner.run(warm(store)),
        }
        rates = compare(measures, options)
        runner.run(files.aclose())
        runner.run(store.aclose())
    return rates


def main() -> int:
    parser = option_parser(__doc__, rounds=7)
    add_short(parser)
    parser.add_argument("parts", nargs="*", help=f"of {' and '.join(PARTS)}; otherwise both")
    options = parser.parse_args()
    if unknown := {*options.parts} - {*PARTS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    options.pushes, options.seconds = (3, 0.5) if options.short else (200, 5.0)
    files, commits = (500, 1_000) if options.short else (5_000, 20_000)
    parts = options.parts or PARTS
    with tempfile.TemporaryDirectory() as path:
        directory = Path(path)
        fill(directory, files=files, commits=commits)
        rates = measure_reads(directory, options) if "reads" in parts else {}
        found = measure_pushes(directory, options) if "pushes" in parts else {}
    tables = {
        f"pushes_{key}": {name: [one[key] for one in rounds] for name, rounds in found.items()}
        for key in ("median_ms", "p99_ms", "wrong")
    }
    report(rates, options, unit="times", **(tables if options.json else {}))
    if found and not options.json:
        show_pushes(found)
    return int(any(one["wrong"] for rounds in found.values() for one in rounds))


if __name__ == "__main__":
    sys.exit(main())
