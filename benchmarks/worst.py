"""What the most expensive requests cost a server: CPU time and memory of its process.

The table is that of `tests-integration/limits`: the largest bundles in every store, the worst
files, and requests that nobody should send. Nothing is compared, and nothing is measured in wall
time. Arguments choose rows by a part of their name: scripts/bench worst yml header
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from _processes import HERE, free_port, program, running

sys.path.append(str(HERE.parent / "tests-integration"))

from limits.cases import ATTACKS, FILE_READS, HISTORIES, LEGAL, Case
from limits.metered import MeteredServer, settings, write_files, write_history

SHOWN = 25
"""Rows that are shown of each part, unless they are chosen by name."""


@contextmanager
def serving(store: str) -> Generator[MeteredServer]:
    """Run `pyfly-config serve` on a store."""
    os.environ.update({f"PYFLY_CONFIG_SERVER_{name}": value for name, value in settings().items()})
    port = free_port()
    command = [program("pyfly-config"), "serve", store, "--port", str(port)]
    with running(command, port, "/health/live") as process:
        yield MeteredServer(port=port, pid=process.pid)


def measure(server: MeteredServer, cases: Iterable[Case], part: str) -> list[dict[str, object]]:
    """Return what each row cost."""
    rows: list[dict[str, object]] = []
    for case in cases:
        status, cost = server.spend(case)
        rows.append(
            {
                "part": part,
                "name": case.name,
                "status": status,
                "loop_ms": round(cost.loop_seconds * 1000, 1),
                "cpu_ms": round(cost.cpu_seconds * 1000),
                "megabytes": round(cost.megabytes, 1),
            }
        )
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench worst",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="parts of the names of rows; without them all")
    parser.add_argument("--json", action="store_true", help="print one JSON list, nothing else")
    options = parser.parse_args()

    def chosen(cases: Iterable[Case]) -> list[Case]:
        wanted: list[str] = options.names or [""]
        return [one for one in cases if any(name in one.name for name in wanted)]

    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        for store in ("files", "sqlite"):
            root = Path(name, store)
            root.mkdir()
            url = str(root) if store == "files" else f"sqlite:///{root}/bundles.db"
            with serving(url) as server:
                saves = [case for case in LEGAL if case.method == "PUT"]  # the reads need them
                reads = chosen(case for case in LEGAL if case.method != "PUT")
                rows += measure(server, saves, f"bundles in {store}")
                rows += measure(server, reads, f"bundles in {store}")
        root = Path(name, "worst")
        root.mkdir()
        write_files(root)
        with serving(str(root)) as server:
            rows += measure(server, chosen(FILE_READS), "worst files")
            rows += measure(server, chosen(ATTACKS), "attacks")
        path = Path(name, "history.db")
        write_history(path)
        with serving(f"sqlite:///{path}") as server:
            rows += measure(server, chosen(HISTORIES), "a long history")
    if options.json:
        print(json.dumps(rows))
        return 0
    for part in dict.fromkeys(str(row["part"]) for row in rows):
        show([row for row in rows if row["part"] == part], part, limited=not options.names)
    return 0


def show(rows: list[dict[str, object]], part: str, *, limited: bool) -> None:
    """Print the rows of a part, the most expensive first."""
    rows = sorted(rows, key=lambda row: float(str(row["cpu_ms"])), reverse=True)
    print(f"\n{part}: {len(rows)} requests")
    print("event loop ms    CPU ms        MB  status  request")
    for row in rows[: SHOWN if limited else None]:
        print(
            f"{row['loop_ms']:>13}  {row['cpu_ms']:>8}  {row['megabytes']:>8}  "
            f"{row['status']:>6}  {row['name']}"
        )


if __name__ == "__main__":
    sys.exit(main())
