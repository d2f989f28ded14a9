"""What saving a bundle costs: the filesystem backend against a bare atomic write.

Both write the same bytes, fifty properties, on the same file system: a temporary file, its
flush, a rename, the flush of the directory. The backend also looks at what is stored, writes
text that reads back the same, and takes turns with other writers; `commit` also names the
version that must still be stored. The files lie in TMPDIR; where that is memory, a flush costs
nothing and the ratio is that of the work around it.
"""

import asyncio
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from _load import compare, read_options, report
from pyfly.config_core import JsonValue
from pyfly.config_server import ConfigSource, FilesystemConfigBackend
from pyfly.config_server.formats.text import dump_text
from pyfly.config_server.storage import ANY

SAVES = 100
PROPERTIES: dict[str, JsonValue] = {
    f"section{number}": {
        "url": f"https://service{number}.example/api",
        "enabled": number % 2 == 0,
        "timeout": 30 + number,
        "retry": {"attempts": 3, "delay": 0.5},
    }
    for number in range(10)
}
SOURCE = ConfigSource(application="orders", profile="prod", properties=PROPERTIES)


def replace(directory: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, durably."""
    temporary = directory / "bundle.tmp"
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / "bundle.yaml")
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def bare(directory: Path, data: bytes) -> float:
    began = time.perf_counter()
    for _ in range(SAVES):
        replace(directory, data)
    return SAVES / (time.perf_counter() - began)


async def save(backend: FilesystemConfigBackend) -> float:
    began = time.perf_counter()
    for _ in range(SAVES):
        await backend.save(SOURCE)
    return SAVES / (time.perf_counter() - began)


async def commit(backend: FilesystemConfigBackend) -> float:
    version = await backend.commit(SOURCE, expected=ANY)
    began = time.perf_counter()
    for _ in range(SAVES):
        version = await backend.commit(SOURCE, expected=version)
    return SAVES / (time.perf_counter() - began)


def main() -> int:
    options = read_options(__doc__)
    data = dump_text(SOURCE.properties, suffix=".yaml")
    with tempfile.TemporaryDirectory() as path, asyncio.Runner() as runner:
        directory = Path(path, "bare")
        directory.mkdir()
        backend = FilesystemConfigBackend(path)
        measures = {
            "bare": partial(bare, directory, data),
            "save": lambda: runner.run(save(backend)),
            "commit": lambda: runner.run(commit(backend)),
        }
        rates = compare(measures, options)
        if Path(path, "main", "orders-prod.yaml").read_bytes() != data:
            raise RuntimeError("the bytes differ")
        runner.run(backend.aclose())
    report(rates, options, unit="saves")
    return 0


if __name__ == "__main__":
    sys.exit(main())
