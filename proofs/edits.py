"""Edits of generated texts: other lines stay, and little is written anew."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEST = "packages/pyfly-config-core/tests/test_text_edit_rules.py"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prove edits", description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000, help="(%(default)s)")
    chosen = parser.parse_args()
    environment = os.environ | {"PYFLY_PROOF_EDITS": str(chosen.examples)}
    command = [sys.executable, "-m", "pytest", TEST, "-q", "-s", "-o", "faulthandler_timeout=0"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
