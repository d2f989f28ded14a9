"""What a pass over 10,000 files costs that looks for changes: CPU time in milliseconds.

The walk only looks at the status of every file. `first` is the first pass of a process, `idle`
one that finds no change, `changed` one that finds one file changed, as a deployment leaves it.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from _load import read_options
from pyfly.config_server.files import DirectoryTree

FILES = 10_000
YOUNG_SECONDS = 2.1


def fill(root: Path) -> None:
    for number in range(FILES):
        path = root / f"label{number % 10}" / f"service{number}-prod.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("a: 1\n", encoding="utf-8")


def walk(root: Path) -> None:
    for directory, _, names in os.walk(root):
        for name in names:
            Path(directory, name).stat()


def milliseconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


def passes(trees: Sequence[DirectoryTree]) -> list[float]:
    return [milliseconds(partial(tree.changes, deadline=0)) for tree in trees]


def main() -> int:
    options = read_options(__doc__, rounds=7)
    with tempfile.TemporaryDirectory() as path:
        root = Path(path)
        fill(root)
        time.sleep(YOUNG_SECONDS)  # the content of younger files is looked at, too
        trees = [DirectoryTree(root) for _ in range(options.rounds)]
        rows = {
            "walk": [milliseconds(lambda: walk(root)) for _ in trees],
            "first": passes(trees),
            "idle": passes(trees),
        }
        (root / "label0" / "service0-prod.yaml").write_text("a: 2\n", encoding="utf-8")
        rows["changed"] = passes(trees)
    for name, times in rows.items():
        print(f"{name:8} {statistics.median(times):6.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
