"""Saves under `kill -9`: whatever the moment, nothing is torn and nothing acknowledged is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from blocking_files import SHARED

KILLS = 40

SCRIPT = '''
"""Fork two writers, kill them at a random moment, look at what they left; again and again."""

import asyncio, json, os, random, signal, sys, time
from pathlib import Path

from pyfly.config_core import ConfigKey
from pyfly.config_core import ConfigKey
from pyfly.config_core import ConfigKey
from pyfly.config_server import ConfigSource, FilesystemConfigBackend
from blocking_files import BundleFiles
from pyfly.config_server.storage import ANY

root, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
WRITERS = ("one", "two")


def bundle(writer, number):
    return {"number": number, "filling": [f"{writer} {number}"] * 200, "end": number}


def write_forever(writer, number, acknowledge):
    async def run():
        backend = FilesystemConfigBackend(root)
        for current in range(number + 1, number + 100_000):
            await backend.save(
                ConfigSource(application=writer, profile="prod", properties=bundle(writer, current))
            )
            os.write(acknowledge, current.to_bytes(8, "big"))

    asyncio.run(run())


def start(writer, number):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            write_forever(writer, number, writing)
        finally:
            os._exit(1)
    os.close(writing)
    return child, reading


def acknowledged(reading, data):
    while chunk := os.read(reading, 1 << 16):
        data += chunk
    os.close(reading)
    return int.from_bytes(data[-8:], "big") if data else 0


stored = dict.fromkeys(WRITERS, 0)
for writer in WRITERS:  # as YAML, which the stale JSON below must never replace
    BundleFiles(root).save(
        ConfigSource(application=writer, profile="prod", properties=bundle(writer, 0)), ANY
    )
torn, lost, saves, awaited = [], [], 0, 0
for kill in range(kills):
    if kill % 2:
        (root / "main" / "one-prod.json").write_text('{"stale": true}', encoding="utf-8")
    children = {writer: start(writer, stored[writer]) for writer in WRITERS}
    count = kill % 3  # whatever the speed of the machine, two thirds of the kills come later
    heard = {w: b"".join(os.read(r, 8) for _ in range(count)) for w, (_, r) in children.items()}
    awaited += count * len(children)
    time.sleep(chance.uniform(0.0, 0.02))
    for child, _ in children.values():
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for writer, (_, reading) in children.items():
        told = acknowledged(reading, heard[writer]) or stored[writer]
        (source,) = BundleFiles(root).fetch_many([ConfigKey(application=writer, profile="prod")])
        if source is None or "stale" in source.properties:
            lost.append([kill, writer, told])
            continue
        number = source.properties["number"]
        if source.properties != bundle(writer, number):
            torn.append([kill, writer, number])
        if number not in (told, told + 1):
            lost.append([kill, writer, told, number])
        saves += number - stored[writer]
        stored[writer] = number
leftovers = sorted(p.name for p in (root / "main").iterdir() if p.suffix == ".tmp")
found = {"torn": torn, "lost": lost, "saves": saves, "awaited": awaited, "leftovers": leftovers}
print(json.dumps(found))
'''


@pytest.mark.slow
def test_kills_at_random_moments_tear_and_lose_nothing(tmp_path: Path, times: int) -> None:
    kills = KILLS * times
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(kills), "20261123"],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(SHARED)},
        timeout=170 * times,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert (result["torn"], result["lost"]) == ([], [])
    assert set(result["leftovers"]) <= {".pyfly-config.tmp"}
    assert result["saves"] >= result["awaited"] >= kills  # the kills did hit running writers
