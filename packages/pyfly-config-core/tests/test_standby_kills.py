"""Kills of processes that keep results: the files of a standby are whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from blocking_files import SHARED
from standby_stores import Switch

from pyfly.config_server import InMemoryConfigBackend
from pyfly.config_server.live.standby import StandbyBackend

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_standby")]

SCRIPT = '''
"""Read bundles that change all the time through a standby, and keep them."""

import asyncio, itertools, os, sys

from pyfly.config_server import ConfigSource, InMemoryConfigBackend
from pyfly.config_server.live import standby_recorder
from pyfly.config_server.live.standby import StandbyBackend

standby_recorder.PAUSE_SECONDS = 0.0
standby_recorder.LOOK_SECONDS = 0.0
writer = sys.argv[2]


async def run():
    inner = InMemoryConfigBackend()
    standby = StandbyBackend(inner, sys.argv[1], store="shared")
    for number in itertools.count(1):
        content = {"writer": writer, "number": number, "filling": [f"{writer} {number}"] * 500}
        for name in ("one", "two", "three"):
            await inner.save(ConfigSource(application=name, profile="prod", properties=content))
            await standby.fetch(name, "prod")
        await asyncio.sleep(0)
        while standby._recorder._waiting:
            await asyncio.sleep(0.001)
        if number % 3 == 0:
            os.write(1, b".")


asyncio.run(run())
'''


@pytest.mark.slow
async def test_kills_in_the_middle_of_writes_tear_and_mix_nothing(
    tmp_path: Path, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Two processes write into one directory, and are killed."""
    directory, whole = tmp_path / "standby", 0
    for _ in range(5 * times):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(directory), name],
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(SHARED)},
            )
            for name in ("a", "b")
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.read(1) == b"."
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
        store = Switch(InMemoryConfigBackend())
        store.take_away()
        standby = StandbyBackend(store, directory, store="shared")
        for name in ("one", "two", "three"):
            found = await standby.fetch(name, "prod")
            assert found is not None
            writer_name, number = found.properties["writer"], found.properties["number"]
            assert found.properties["filling"] == [f"{writer_name} {number}"] * 500
            whole += 1
        assert not (standby._files.path / "new.tmp").exists()
        await standby.aclose()
    assert whole == 15 * times
    assert caplog.records == []
