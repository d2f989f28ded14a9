"""The memory of a process that serves."""

import subprocess
import sys

import pytest

KEPT_OBJECTS = """
import gc, sys
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._serving import setup
if sys.argv[1] == "serving":
    setup.set_up_process(ServerSettings())
before = gc.get_stats()[2]["collections"]
kept = [[number] for number in range(400_000)]
print(gc.get_stats()[2]["collections"] - before)
"""


@pytest.mark.parametrize(("process", "searched"), [("serving", False), ("other", True)])
def test_as_many_objects_as_ten_thousand_watchers_have_are_not_all_searched(
    process: str, searched: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KEPT_OBJECTS, process],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert (int(done.stdout) > 0) == searched
