"""What the benchmarks share: arguments, rounds, their report, servers, a request rate."""

import argparse
import contextlib
import itertools
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "docs" / "examples" / "config"
SECONDS = 3

# --- rounds ---------------------------------------------------------------------------


def read_options(description: str | None, *, rounds: int = 7) -> argparse.Namespace:
    """Read the arguments that every benchmark takes: how often, and how to tell."""
    parser = argparse.ArgumentParser(
        prog=f"scripts/bench {Path(sys.argv[0]).stem}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="how often each is measured (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    return parser.parse_args()


def compare(
    measures: Mapping[str, Callable[[], float]], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Measure everything once in each round, after one round that does not count.

    Args:
        measures: By name, the baseline first; each returns how much it did in a second.
        options: What `read_options` returned.
    """
    for measure in measures.values():
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
        machine = {"python": platform.python_version(), "cores": os.cpu_count()}
        print(json.dumps({**machine, "rounds": options.rounds, **spreads}))
        return
    for title, table in spreads.items():
        for name, (low, middle, high) in table.items():
            print(f"{title.replace('_', ' ')}, {name}: {middle:.4g} ({low:.4g} to {high:.4g})")


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


# --- servers --------------------------------------------------------------------------


def need_wrk() -> None:
    """Exit with what to do when the load generator is missing."""
    if shutil.which("wrk") is None:
        print("wrk is needed: apt-get install wrk", file=sys.stderr)
        sys.exit(2)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def program(name: str) -> str:
    """Return the path of a command of this environment."""
    return str(Path(sys.executable).with_name(name))


def asgi(port: int, factory: str) -> list[str]:
    """Return the command that runs `module:function` as `pyfly-config serve` runs its own."""
    return [sys.executable, str(HERE / "_asgi.py"), str(port), factory]


@contextlib.contextmanager
def running(command: list[str], port: int, path: str) -> Generator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block."""
    with subprocess.Popen(command, cwd=HERE, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(port, path)
            yield process
        finally:
            process.terminate()


def _wait(port: int, path: str) -> None:
    """Wait until the server answers, twenty seconds at most."""
    for _ in range(400):
        try:
            get(port, path)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start")


def get(port: int, path: str) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of an answer."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as response:
        return dict(response.headers), response.read()


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, in user and system mode (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rate(port: int, path: str) -> float:
    """Return wrk's requests per second over 32 connections."""
    output = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{SECONDS}s", f"http://127.0.0.1:{port}{path}"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None or "Non-2xx" in output:
        raise RuntimeError(output)
    return float(found[1])
