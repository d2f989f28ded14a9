"""The most expensive texts of 1 MiB stay cheap. `scripts/bench texts` measures many more."""

import re
import subprocess
import sys
from pathlib import Path

SECONDS = 1.0
MEBIBYTES = 64.0

CASES = (
    ".yaml read: tag directives",
    ".yaml read: documents",
    ".yaml read: blank lines",
    ".yaml read: 20,000 keys",
    ".yaml read: nested flow",
    ".yaml read: aliases of a list",
    ".yaml documents counted: blank lines",
    ".yaml documents counted: comments",
    ".yaml saved: deep",
    ".json read: nested lists",
    ".json saved: deep",
    ".properties read: continued lines",
    ".properties read: separators",
    ".properties read: blank lines",
    ".properties read: backslashes",
    "/x.yml: deep",
    "/x.yml: long text",
    "/x.json: deep and wide",
    "/x.properties: doubling",
    "/x.properties: unclosed",
)


def test_no_text_costs_much_time_or_memory() -> None:
    program = Path(__file__).parents[1] / "benchmarks" / "texts.py"
    done = subprocess.run(
        [sys.executable, str(program), *CASES], capture_output=True, encoding="utf-8", check=True
    )
    rows = re.findall(r"^ *([0-9.]+) s +([0-9.]+) MiB  (.*)$", done.stdout, re.MULTILINE)
    assert len(rows) >= len(CASES)
    for seconds, mebibytes, case in rows:
        assert float(seconds) < 3 * SECONDS, case
        assert float(mebibytes) < 3 * MEBIBYTES, case
