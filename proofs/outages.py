"""Stores that go away and come back, in every way, below a server that answers: the long form.

The tests run the same once. The table has the time until answers are marked as stale, the 99th
percentile of their times from then on, the time from the return of the store to the first answer
without the mark, and to the answer of a held request. Where nobody else can change the store during
the outage, the held request waits for a change after it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _server import table

ROOT = Path(__file__).parent.parent
TESTS = "tests-integration/outages"
HEAD = ("store", "outage", "marked after", "p99 while away", "fresh after", "held request after")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prove outages", description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="outages of each kind (%(default)s)")
    parser.add_argument("-k", default="", metavar="NAMES", help="only these, as in pytest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        rows = Path(directory) / "rows"
        variables = {
            "PYFLY_PROOF_TIMES": str(options.times),
            "PYFLY_PROOF_REPORT": str(rows),
        }
        command = [sys.executable, "-m", "pytest", "-o", "faulthandler_timeout=0", TESTS]
        done = subprocess.run(
            [*command, "-k", options.k], cwd=ROOT, env=os.environ | variables, check=False
        )
        table(HEAD, [])
        if rows.exists():
            print(rows.read_text(encoding="utf-8"), end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
