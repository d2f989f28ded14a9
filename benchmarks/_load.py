"""What the benchmarks share: arguments, rounds, their report."""

import argparse
import itertools
import json
import math
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path


def read_options(description: str | None, *, rounds: int = 7) -> argparse.Namespace:
    """Read the arguments that every benchmark takes: how often, and how to tell."""
    return option_parser(description, rounds=rounds).parse_args()


def option_parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return the parser of the arguments that every benchmark takes."""
    parser = argparse.ArgumentParser(
        prog=f"scripts/bench {Path(sys.argv[0]).stem}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="how often each is measured (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    return parser


def add_short(parser: argparse.ArgumentParser) -> None:
    """Add the argument that makes a benchmark small: it shows that it works, no figures."""
    parser.add_argument(
        "--short", action="store_true", help="show in seconds that it works; measures nothing"
    )


def compare(
    measures: Mapping[str, Callable[[], float]], options: argparse.Namespace, *, warm: bool = True
) -> dict[str, list[float]]:
    """Measure everything once in each round, after one round that does not count.

    Args:
        measures: By name, the baseline first; each returns how much it did in a second.
        options: What `read_options` returned.
        warm: False leaves out the round that does not count.
    """
    for measure in measures.values() if warm else ():
        measure()
    rates: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(1, options.rounds + 1):
        for name, measure in measures.items():
            rates[name].append(measure())
        if not options.json:
            row = "  ".join(f"{name} {done[-1]:8.0f}/s" for name, done in rates.items())
            print(f"round {number}: {row}", flush=True)
    return rates


def report(
    rates: Mapping[str, Sequence[float]],
    options: argparse.Namespace,
    *,
    unit: str,
    **more: Mapping[str, Sequence[float]],
) -> None:
    """Print the median and the spread of every ratio within one round, and of `more`."""
    ratios = {
        f"{name} / {base}": [
            ours / theirs for ours, theirs in zip(rates[name], rates[base], strict=True)
        ]
        for base, name in itertools.combinations(rates, 2)
    }
    tables = {f"{unit}_per_second": rates, "ratio": ratios, **more}
    spreads = {
        title: {name: _spread(values) for name, values in table.items()}
        for title, table in tables.items()
    }
    if options.json:
        print(json.dumps({**machine(), "rounds": options.rounds, **spreads}))
        return
    for title, table in spreads.items():
        for name, (low, middle, high) in table.items():
            print(f"{title.replace('_', ' ')}, {name}: {middle:.4g} ({low:.4g} to {high:.4g})")


def report_pairs(
    rates: Mapping[str, Sequence[float]],
    baselines: Mapping[str, str],
    options: argparse.Namespace,
    costs: Mapping[str, Sequence[float]],
) -> None:
    """Print rates and processor times, and their ratios within one round, as a table.

    Args:
        rates: Requests per second, of every round.
        baselines: By the name of a rate, the name of the rate that it is compared with.
        options: What `read_options` returned.
        costs: Microseconds of processor time of a request, of every round. Where a machine has
            other work, they say more than rates.
    """
    pairs = baselines.items()
    tables = {
        "requests_per_second": {name: _spread(values) for name, values in rates.items()},
        "cpu_microseconds": {name: _spread(values) for name, values in costs.items()},
        "ratio": {f"{one} / {base}": _ratio(rates[one], rates[base]) for one, base in pairs},
        "cpu_ratio": {f"{one} / {base}": _ratio(costs[one], costs[base]) for one, base in pairs},
    }
    if options.json:
        print(json.dumps({**machine(), "rounds": options.rounds, **tables}))
        return
    head = ("", "requests per second", "µs of CPU each", "baseline", "ratio", "ratio of CPU")
    table(head, [_row(name, baselines.get(name, ""), tables) for name in rates])


def _row(
    name: str, base: str, tables: Mapping[str, Mapping[str, tuple[float, float, float]]]
) -> list[str]:
    found = [
        name,
        shown(tables["requests_per_second"][name], ",.0f"),
        shown(tables["cpu_microseconds"][name], ".3g"),
        base,
    ]
    pair = f"{name} / {base}"
    return found + [shown(tables[one][pair], ".2f") for one in ("ratio", "cpu_ratio") if base]


def _ratio(ones: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    return _spread([one / other for one, other in zip(ones, others, strict=True)])


def machine() -> dict[str, object]:
    """Return on what is measured."""
    return {"python": platform.python_version(), "cores": os.cpu_count()}


def shown(spread: tuple[float, float, float], form: str) -> str:
    """Return a median with the lowest and the highest."""
    low, middle, high = (format(value, form) for value in spread)
    return f"{middle} ({low} to {high})"


def percentile(values: Iterable[float], part: float) -> float:
    """Return the value that `part` of all lie at or below; infinite without values."""
    known = sorted(values)
    return known[max(0, math.ceil(len(known) * part) - 1)] if known else math.inf


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table in Markdown."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)
