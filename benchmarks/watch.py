"""What held requests cost: `Prefer: wait=N` with the entity tag that a client has.

The load generator is this process. It holds one request on each of thousands of connections, and
asks again as soon as it has an answer; its own work is part of every time below. `bare` is a
handler of fifty lines on the same server that holds and answers and does nothing else.

publishes  A change of the shared bundle, which every document contains, stored with `PUT` while
           all wait: from sending it to the complete answer of each watcher. Plain reads go on
           beside it, 200 a second.
burst      1,000 such changes a second: how many of them does a watcher get, and does it get the
           last one?
idle       Watchers of a document that does not change: what is left for plain reads?
aborts     Clients that go away while their request is held: what stays behind?
stop       SIGTERM while all wait. A second server on the same files takes over; a change is made
           there at once. Does anybody miss it, or get half an answer?

The exit code is 1 if a watcher missed a change or got something wrong, or if something stays.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable

from _connections import measure_aborts, measure_idle, measure_stop
from _fleet import raise_descriptors
from _load import add_short, machine, option_parser, table
from _processes import need_wrk
from _publishes import Figures, measure_burst, measure_publishes
from _stores import STORES

SCENARIOS: dict[str, Callable[[argparse.Namespace], dict[str, list[Figures]]]] = {
    "publishes": measure_publishes,
    "burst": measure_burst,
    "idle": measure_idle,
    "aborts": measure_aborts,
    "stop": measure_stop,
}
SHORT = {
    "rounds": 1,
    "watchers": 40,
    "publishes": 2,
    "idle": 100,
    "wrk": 1,
    "aborts": 200,
    "rate": 100,
    "seconds": 0.5,
}
COMPARED = (
    "informed_p99_ms",
    "cpu_us_per_answer",
    "kb_per_watcher",
    "answers_per_watcher_and_second",
)
"""Figures whose ratio to those of `bare` is told."""


def read_arguments() -> argparse.Namespace:
    """Return the arguments."""
    parser = option_parser(__doc__, rounds=3)
    add_short(parser)
    parser.add_argument("scenarios", nargs="*", help="which of them; otherwise all")
    parser.add_argument("--watchers", type=int, default=5_000, help="of most (%(default)s)")
    parser.add_argument(
        "--documents", nargs="+", default=["1", "100", "distinct"], help="numbers, or: distinct"
    )
    parser.add_argument("--publishes", type=int, default=20, help="in a round (%(default)s)")
    parser.add_argument("--store", choices=STORES, default="files", help="(%(default)s)")
    parser.add_argument("--idle", type=int, default=9_000, help="watchers of idle (%(default)s)")
    parser.add_argument("--aborts", type=int, default=20_000, help="cycles (%(default)s)")
    parser.add_argument("--rate", type=int, default=1_000, help="of the burst (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="of the burst (%(default)s)")
    parser.set_defaults(wrk=3)
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    if options.short:
        vars(options).update(SHORT)
    return options


def summary(rounds: dict[str, list[Figures]]) -> dict[str, Figures]:
    """Return the median of every figure, and the ratios within one round to the bare handler."""
    found: dict[str, Figures] = {}
    for name, figures in rounds.items():
        found[name] = {
            key: sum(one[key] for one in figures)
            if key in {"missed", "wrong"}
            else statistics.median(one[key] for one in figures)
            for key in figures[0]
        }
        if name != "bare" and "bare" in rounds:
            for key in COMPARED:
                pairs = zip(figures, rounds["bare"], strict=True)
                if key in figures[0]:
                    found[name][f"{key}_ratio"] = statistics.median(
                        one[key] / other[key] for one, other in pairs
                    )
    return found


def show(name: str, found: dict[str, Figures]) -> None:
    """Print the figures of a scenario as a table."""
    print(f"\n{name}")
    keys = list(dict.fromkeys(key for figures in found.values() for key in figures))
    rows = [
        [
            key.replace("_", " "),
            *(f"{one[key]:,.4g}" if key in one else "" for one in found.values()),
        ]
        for key in keys
    ]
    table(["", *found], rows)


def main() -> int:
    options = read_arguments()
    need_wrk()
    raise_descriptors()
    results: dict[str, dict[str, Figures]] = {}
    for name in options.scenarios or SCENARIOS:
        results[name] = summary(SCENARIOS[name](options))
        if not options.json:
            show(name, results[name])
    if options.json:
        print(json.dumps({**machine(), "rounds": options.rounds, **results}))
    figures = [one for found in results.values() for one in found.values()]
    return int(any(one.get("missed", 0) or one.get("wrong", 0) for one in figures))


if __name__ == "__main__":
    sys.exit(main())
