"""Secrets in everything that a server reads, and every way out of it: the long form.

None comes out where it does not belong. The tests run the same with 600 requests.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEST = "tests-integration/canaries"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1, help="what the requests are made from")
    options.add_argument("--requests", type=int, default=10_000)
    chosen = options.parse_args()
    environment = os.environ | {
        "PYFLY_PROOF_SEED": str(chosen.seed),
        "PYFLY_PROOF_REQUESTS": str(chosen.requests),
    }
    command = [sys.executable, "-m", "pytest", TEST, "-q", "-s", "--show-capture=no"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
