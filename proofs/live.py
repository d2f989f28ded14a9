"""Readers and watchers between two servers of two workers each, and the state machine at length."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = (
    "tests-integration/sql/test_live_replicas.py",
    "packages/pyfly-config-core/tests/test_live_model.py",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prove live", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="as many writes (%(default)s)")
    parser.add_argument("--examples", type=int, default=1_000, help="(%(default)s)")
    chosen = parser.parse_args()
    environment = os.environ | {
        "PYFLY_PROOF_TIMES": str(chosen.times),
        "PYFLY_PROOF_EXAMPLES": str(chosen.examples),
    }
    command = [sys.executable, "-m", "pytest", *TESTS, "-q", "-o", "faulthandler_timeout=0"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
