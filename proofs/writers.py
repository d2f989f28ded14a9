"""Concurrent writers and killed writers, to all stores: the long form.

No acknowledged write is lost, none is torn, and of concurrent writers exactly one wins. The tests
run the same with fewer rounds, writes and kills.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = (
    "packages/pyfly-config-core/tests/test_crash.py",
    "packages/pyfly-config-core/tests/test_filesystem_writers.py",
    "packages/pyfly-config-sql/tests/test_sqlite_writers.py",
    "tests-integration/test_writing_over_http.py",
    "tests-integration/sql/test_killed_server.py",
    "tests-integration/sql/test_processes.py",
)


def main() -> int:
    options = argparse.ArgumentParser(prog="scripts/prove writers", description=__doc__)
    options.add_argument(
        "--times", type=int, default=10, help="as many as in the tests (%(default)s)"
    )
    chosen = options.parse_args()
    environment = os.environ | {"PYFLY_PROOF_TIMES": str(chosen.times)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--durations=0",
        "-o",
        "faulthandler_timeout=0",
        *TESTS,
    ]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
