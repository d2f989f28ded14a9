"""Git repositories: kills, races, damage, many fetches, remotes that fail; the long form.

A fetch that was killed loses nothing, of concurrent writers exactly one wins, and a damaged clone
is never taken for an absent bundle. The tests run the same with fewer rounds.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = (
    "packages/pyfly-config-git/tests/test_damage.py",
    "packages/pyfly-config-git/tests/test_fetching.py",
    "packages/pyfly-config-git/tests/test_reading.py",
    "packages/pyfly-config-git/tests/test_remotes.py",
    "packages/pyfly-config-git/tests/test_writing.py",
)


def main() -> int:
    options = argparse.ArgumentParser(prog="scripts/prove git", description=__doc__)
    options.add_argument(
        "--times", type=int, default=10, help="as many as in the tests (%(default)s)"
    )
    chosen = options.parse_args()
    environment = os.environ | {"PYFLY_PROOF_TIMES": str(chosen.times)}
    command = [sys.executable, "-m", "pytest", "--durations=0", "-o", "faulthandler_timeout=0"]
    return subprocess.run([*command, *TESTS], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
