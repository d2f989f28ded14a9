"""Requests that all differ: hot documents stay in memory, and the memory stays within its bound."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEST = "packages/pyfly-config-core/tests/test_live_cache.py"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prove variants", description=__doc__)
    parser.add_argument("--variants", type=int, default=100_000, help="(%(default)s)")
    parser.add_argument("--cache-bytes", type=int, default=67_108_864, help="(%(default)s)")
    chosen = parser.parse_args()
    environment = os.environ | {
        "PYFLY_PROOF_VARIANTS": str(chosen.variants),
        "PYFLY_PROOF_CACHE_BYTES": str(chosen.cache_bytes),
    }
    command = [sys.executable, "-m", "pytest", TEST, "-q", "-s", "-k", "variants"]
    command += ["-o", "faulthandler_timeout=0"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
