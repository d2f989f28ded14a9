"""Random repositories: what is served, written and copied is what a model says. The long form.

The tests run the same with fewer repositories.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = (
    "packages/pyfly-config-core/tests/test_spring_layout_model.py",
    "packages/pyfly-config-server/tests/test_copied_documents.py",
)


def main() -> int:
    options = argparse.ArgumentParser(prog="scripts/prove repositories", description=__doc__)
    options.add_argument(
        "--times", type=int, default=20, help="as many as in the tests (%(default)s)"
    )
    chosen = options.parse_args()
    environment = os.environ | {"PYFLY_PROOF_TIMES": str(chosen.times)}
    command = [sys.executable, "-m", "pytest", "-q", "-o", "faulthandler_timeout=0", *TESTS]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
