"""What composing a document costs in the process, beside a bare `json.dumps` of the result.

A bundle of 5,000 properties from files that were read before and from memory; the request of the
README, from memory and from files. Composing does not encode: `json.dumps` of the same document
shows what encoding costs in addition. Both are CPU time of all threads, the median of rounds in
which they take turns, so that a busy machine changes little.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from pyfly.config_server import ConfigServer, FilesystemConfigBackend, InMemoryConfigBackend

EXAMPLES: Final = Path(__file__).parent.parent / "docs" / "examples" / "config"
ROUNDS: Final = 200
OLD: Final = time.time() - 60  # files are remembered when they have not changed for seconds
README: Final = ("orders", "prod", "release-1.4")
TREE: Final[dict[str, Any]] = {
    f"section-{one}": {f"group-{two}": {"name": f"value {one}.{two}"} for two in range(10)}
    for one in range(500)
}


class Figure(NamedTuple):
    """The medians of one line, in microseconds of CPU."""

    compose: float
    dumps: float


def spent(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e6


async def spent_waiting(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.process_time()
    await work()
    return (time.process_time() - began) * 1e6


async def measure(server: ConfigServer, names: tuple[str, str, str]) -> Figure:
    document = await server.fetch(*names)
    compose: list[float] = []
    dumps: list[float] = []
    for _ in range(ROUNDS):
        compose.append(await spent_waiting(lambda: server.compose(*names)))
        dumps.append(spent(lambda: json.dumps(document)))
    return Figure(statistics.median(compose), statistics.median(dumps))


async def copied(files: FilesystemConfigBackend) -> InMemoryConfigBackend:
    memory = InMemoryConfigBackend()
    for source in await files.list():
        await memory.save(source)
    return memory


async def run(root: Path) -> None:
    folder = root / "main"
    folder.mkdir()
    stored = folder / "large-prod.json"
    stored.write_text(json.dumps(TREE), encoding="utf-8")
    for path in (stored, folder):
        os.utime(path, (OLD, OLD))
    await asyncio.sleep(2.1)  # the time of the last change of a name cannot be set
    large, examples = FilesystemConfigBackend(root), FilesystemConfigBackend(EXAMPLES)
    lines = {
        "5,000 properties, files": (large, ("large", "prod", "main")),
        "5,000 properties, memory": (await copied(large), ("large", "prod", "main")),
        "README, files": (examples, README),
        "README, memory": (await copied(examples), README),
    }
    print(f"{'':26}{'compose':>12}{'json.dumps':>12}{'ratio':>8}")
    for name, (backend, names) in lines.items():
        figure = await measure(ConfigServer(backend), names)
        ratio = figure.compose / figure.dumps
        print(f"{name:26}{figure.compose:9.1f} us{figure.dumps:9.1f} us{ratio:8.2f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory)))
