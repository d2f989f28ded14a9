"""What a Git repository costs: opening it, reading from it, and reading while it is pushed to.

The repository has 5,000 files and 20,000 commits. `open` is a new store with a clone from before,
until it has answered one bundle and listed all; the directory beside it has the same files.
`cold` reads six bundles of a new store, `warm` the same again, `read` is six `open().read()` of
files. `pushed` is `warm` by eight readers while another process pushes. Ratios are of rates, so
more is better.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from _load import add_short, compare, option_parser, report
from pyfly.config_core import ConfigKey
from pyfly.config_git import GitConfigBackend
from pyfly.config_server import FilesystemConfigBackend

KEYS = [ConfigKey(application=f"app{n * 90}", profile="prod") for n in range(6)]
READS = 200
READERS = 8


def fill(directory: Path, *, files: int, commits: int) -> None:
    """Make a bare repository, and a directory with the files of its last commit."""
    git(directory, "init", "--quiet", "--bare", "--initial-branch=main", str(directory / "r.git"))
    text = "server:\n  port: {}\n"
    lines = [f"commit refs/heads/main\ncommitter a <a@b> {commits} +0000\ndata 1\nx\n"]
    for number in range(files):
        content = text.format(number)
        lines.append(f"M 100644 inline app{number}-prod.yml\ndata {len(content)}\n{content}\n")
    for number in range(1, commits):
        content = text.format(number)
        lines.append(f"commit refs/heads/main\ncommitter a <a@b> {commits + number} +0000\n")
        lines.append(f"data 1\nx\nM 100644 inline app{number % files}-prod.yml\n")
        lines.append(f"data {len(content)}\n{content}\n")
    git(directory / "r.git", "fast-import", "--quiet", data="".join(lines).encode())
    root = directory / "files"
    root.mkdir()
    git(directory / "r.git", f"--work-tree={root}", "checkout", "--force", "main", "--", ".")


def git(directory: Path, *arguments: str, data: bytes = b"") -> None:
    subprocess.run(
        ["git", *arguments], cwd=directory, input=data, check=True, stdout=subprocess.DEVNULL
    )


def open_git(directory: Path) -> GitConfigBackend:
    return GitConfigBackend.from_url(
        f"git+file://{directory}/r.git?refresh=3600&state={directory}/state"
    )


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


async def cold(directory: Path) -> float:
    async with open_git(directory) as store:
        await store.has_label("main")
        began = time.perf_counter()
        await store.fetch_many(KEYS)
        return 1 / (time.perf_counter() - began)


async def warm(store: GitConfigBackend, readers: int = 1) -> float:
    async def read() -> None:
        for _ in range(READS):
            await store.fetch_many(KEYS)

    began = time.perf_counter()
    await asyncio.gather(*(read() for _ in range(readers)))
    return READS * readers / (time.perf_counter() - began)


def read_files(directory: Path) -> float:
    paths = [directory / "files" / f"{key.stem}.yml" for key in KEYS]
    began = time.perf_counter()
    for _ in range(READS):
        for path in paths:
            with path.open("rb") as file:
                file.read()
    return READS / (time.perf_counter() - began)


async def pushed(directory: Path, store: GitConfigBackend) -> float:
    """Read while a branch moves and is fetched, again and again."""
    is_done = asyncio.Event()

    async def push() -> None:
        number = 0
        while not is_done.is_set():
            number += 1
            content = f"server:\n  port: {number}\n"
            stream = (
                f"commit refs/heads/main\ncommitter a <a@b> now\ndata 1\nx\n"
                f"from refs/heads/main^0\n"
                f"M 100644 inline {KEYS[0].stem}.yml\ndata {len(content)}\n{content}\n"
            )
            command = ("fast-import", "--quiet", "--force", "--date-format=now")
            await asyncio.to_thread(git, directory / "r.git", *command, data=stream.encode())
            await store.refetch()

    pushing = asyncio.ensure_future(push())
    try:
        return await warm(store, READERS)
    finally:
        is_done.set()
        await pushing


def main() -> int:
    parser = option_parser(__doc__, rounds=7)
    add_short(parser)
    options = parser.parse_args()
    sizes = (
        {"files": 500, "commits": 1_000} if options.short else {"files": 5_000, "commits": 20_000}
    )
    with tempfile.TemporaryDirectory() as path, asyncio.Runner() as runner:
        directory = Path(path)
        fill(directory, **sizes)
        store = open_git(directory)
        runner.run(store.check())
        measures = {
            "directory": lambda: runner.run(opened(partial(open_files, directory))),
            "open": lambda: runner.run(opened(partial(open_git, directory))),
            "read": partial(read_files, directory),
            "cold": lambda: runner.run(cold(directory)),
            "warm": lambda: runner.run(warm(store)),
            "pushed": lambda: runner.run(pushed(directory, store)),
        }
        rates = compare(measures, options)
        runner.run(store.aclose())
    report(rates, options, unit="times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
