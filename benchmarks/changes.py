"""What a pass over 10,000 files costs that looks for changes, in milliseconds.

`cpu` is CPU time. `wait` is the longest time that an event loop waits while the pass runs in a
thread: the median of all rounds, and the least, which the other load of the machine disturbs least.

The walk only looks at the status of every file. `first` is the first pass of a process, `idle`
one that finds no change, `changed` one that finds one file changed, as a deployment leaves it,
`all` one that finds all files changed, as a checkout leaves them. `nothing` is no pass at all.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from _load import read_options
from pyfly.config_server.files import DirectoryTree, LabelsLayout
from pyfly.config_server.files.loss import LossDetector
from pyfly.config_server.files.text_changes import TextChanges

FILES = 10_000
YOUNG_SECONDS = 2.1
PAUSE_SECONDS = 0.0005


def fill(root: Path) -> None:
    for number in range(FILES):
        path = root / f"label{number % 10}" / f"service{number}-prod.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("a: 1\n", encoding="utf-8")


def walk(root: Path) -> None:
    for directory, _, names in os.walk(root):
        for name in names:
            Path(directory, name).stat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    cpu: float
    wait: float


def milliseconds(work: Callable[[], object]) -> Cost:
    return asyncio.run(_measured(work))


async def _measured(work: Callable[[], object]) -> Cost:
    """Run the work in a thread, beside an event loop that wants to run all the time."""

    def timed() -> float:
        began = time.thread_time()
        work()
        return time.thread_time() - began

    longest = 0.0
    done = asyncio.ensure_future(asyncio.to_thread(timed))
    while not done.done():
        began = time.perf_counter()
        await asyncio.sleep(PAUSE_SECONDS)
        longest = max(longest, time.perf_counter() - began - PAUSE_SECONDS)
    return Cost(cpu=1000 * await done, wait=1000 * longest)


def passes(changes: Sequence[TextChanges]) -> list[Cost]:
    return [
        milliseconds(partial(one.since, None, deadline=time.monotonic() + 60)) for one in changes
    ]


def opened(root: Path) -> TextChanges:
    tree = DirectoryTree(root)
    return TextChanges(tree, LabelsLayout(), LossDetector(tree))


def touch(root: Path) -> None:
    """Change the times of all files, to the past."""
    for path in root.rglob("*.yaml"):
        os.utime(path, (1, 1))


def measure(root: Path, rounds: int) -> dict[str, list[Cost]]:
    fill(root)
    time.sleep(YOUNG_SECONDS)  # the content of younger files is looked at, too
    changes = [opened(root) for _ in range(rounds)]
    rows = {
        "nothing": [milliseconds(partial(time.sleep, 0.05)) for _ in changes],
        "walk": [milliseconds(partial(walk, root)) for _ in changes],
        "first": passes(changes),
        "idle": passes(changes),
    }
    (root / "label0" / "service0-prod.yaml").write_text("a: 2\n", encoding="utf-8")
    rows["changed"] = passes(changes)
    touch(root)
    time.sleep(YOUNG_SECONDS)
    rows["all"] = passes(changes)
    return rows


def main() -> int:
    options = read_options(__doc__, rounds=7)
    with tempfile.TemporaryDirectory() as path:
        rows = measure(Path(path), options.rounds)
    print(f"{'':8} {'cpu':>6} {'wait':>6} {'least':>6}")
    for name, costs in rows.items():
        waits = [cost.wait for cost in costs]
        figures = (statistics.median(cost.cpu for cost in costs), statistics.median(waits))
        print(f"{name:8}", *(f"{figure:6.1f}" for figure in (*figures, min(waits))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
