"""Answers on made-up repositories, beside those of a Spring Cloud Config server: the long form.

Builds the server with Maven and runs it, on directories and on a Git repository. The tests run the
same with one seed, and ask less of the Git repository.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = [f"tests-integration/spring/test_reference_{name}.py" for name in ("corpus", "git")]
SECONDS = 3600


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--first", type=int, default=1, help="the first seed")
    options.add_argument("--seeds", type=int, default=5, help="so many (4,000 requests each)")
    chosen = options.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    environment = os.environ | {"PYFLY_PROOF_SEEDS": ",".join(map(str, seeds)), "PYFLY_CI": "1"}
    patient = ["-o", f"faulthandler_timeout={SECONDS}"]  # more than the tests of a run may take
    command = [sys.executable, "-m", "pytest", *TESTS, "-q", "-s", "--show-capture=no", *patient]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
